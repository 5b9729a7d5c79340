-- publish: keeps what a gateway says of itself, and forgets what others said that is stale.
-- KEYS    see include/keys.lua
-- ARGV[1] {gateway, row, ttl_s, now?}
-- Returns true
--- include "keys"
--- include "arguments"

redis.call('HSET', GATEWAYS, args.gateway, cmsgpack.pack({['until'] = now + args.ttl_s, row = args.row}))
local kept = redis.call('HGETALL', GATEWAYS)
for i = 1, #kept, 2 do
  if cmsgpack.unpack(kept[i + 1])['until'] <= now then
    redis.call('HDEL', GATEWAYS, kept[i])
  end
end
return cmsgpack.pack(true)
