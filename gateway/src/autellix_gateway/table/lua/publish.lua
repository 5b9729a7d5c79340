-- publish: keeps what a gateway says of itself, and forgets what others said that is stale.
-- KEYS    see include/keys.lua
-- ARGV[1] {gateway, row, ttl_s, now?}
-- Returns true
--- include "keys"
--- include "arguments"

redis.call('HSET', SAID, args.gateway, args.row)
redis.call('ZADD', GATEWAYS, now + args.ttl_s, args.gateway)
for _, stale in ipairs(redis.call('ZRANGEBYSCORE', GATEWAYS, '-inf', now)) do
  redis.call('HDEL', SAID, stale)
  redis.call('ZREM', GATEWAYS, stale)
end
return cmsgpack.pack(true)
