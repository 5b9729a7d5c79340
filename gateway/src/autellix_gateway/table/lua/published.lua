-- published: what gateways say of themselves that is not stale, and how many calls each engine holds. Changes nothing.
-- KEYS    see include/keys.lua
-- ARGV[1] {now?}
-- Returns {at, rows = {gateway = row}, engine_calls = {engine = calls}}
--- include "keys"
--- include "arguments"
--- include "engine_calls"

local rows = {}
for _, gateway in ipairs(redis.call('ZRANGEBYSCORE', GATEWAYS, string.format('(%.17g', now), '+inf')) do
  rows[gateway] = redis.call('HGET', SAID, gateway)
end
return cmsgpack.pack({at = now, rows = rows, engine_calls = engine_calls()})
