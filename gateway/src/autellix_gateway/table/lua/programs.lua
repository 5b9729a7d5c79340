-- programs: one page of rows, those that changed last first. Changes nothing.
-- KEYS    see include/keys.lua
-- ARGV[1] {tenant?, active_since?, offset, page, limit}: reads at most page rows from offset on of those that changed at
--         active_since or later, and returns at most limit of them
-- Returns {rows, next_offset?}: next_offset is where to read on, absent after the last row
--- include "keys"

local args = cmsgpack.unpack(ARGV[1])
local found, offset = {}, args.offset
local ids = redis.call('ZREVRANGEBYSCORE', ACTIVITY, '+inf', args.active_since or '-inf', 'LIMIT', offset, args.page)
for _, id in ipairs(ids) do
  if #found >= args.limit then
    break
  end
  offset = offset + 1
  local record = redis.call('HGET', PROGRAMS, id)
  local row = record and cmsgpack.unpack(record)
  if row and (not args.tenant or row.tenant == args.tenant) then
    found[#found + 1] = row
  end
end
local is_last = #ids < args.page and offset == args.offset + #ids
return cmsgpack.pack({rows = found, next_offset = not is_last and offset or nil})
