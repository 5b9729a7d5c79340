-- arguments: args, the map packed in ARGV[1], and now: the time of this server, or args.now where a test set it.
local args = cmsgpack.unpack(ARGV[1])
local now = args.now
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
