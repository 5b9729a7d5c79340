-- engine_calls: how many calls each engine holds, as a map.
local function engine_calls()
  local held = {}
  local counts = redis.call('HGETALL', ENGINES)
  for i = 1, #counts, 2 do
    held[counts[i]] = tonumber(counts[i + 1])
  end
  return held
end
