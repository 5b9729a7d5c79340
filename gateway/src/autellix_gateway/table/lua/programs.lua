-- programs: one page of rows, those with the latest activity first. Changes nothing.
-- KEYS    see include/keys.lua
-- ARGV[1] {tenant?, offset, page, limit}: reads at most page rows from offset on, and returns at most limit of them
-- Returns {rows, next_offset?}: next_offset is where to read on, absent after the last row
--- include "keys"

local args = cmsgpack.unpack(ARGV[1])
local found, offset = {}, args.offset
local ids = redis.call('ZREVRANGE', ACTIVITY, offset, offset + args.page - 1)
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
