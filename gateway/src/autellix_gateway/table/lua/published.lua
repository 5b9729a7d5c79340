-- published: what gateways say of themselves that is not stale, and how many calls each engine holds. Changes nothing.
-- KEYS    see include/keys.lua
-- ARGV[1] {now?}
-- Returns {at, rows = {gateway = row}, engine_calls = {engine = calls}}
--- include "keys"
--- include "arguments"
--- include "engine_calls"

local rows = {}
local kept = redis.call('HGETALL', GATEWAYS)
for i = 1, #kept, 2 do
  local said = cmsgpack.unpack(kept[i + 1])
  if said['until'] > now then
    rows[kept[i]] = said.row
  end
end
return cmsgpack.pack({at = now, rows = rows, engine_calls = engine_calls()})
