-- counts: adds to one field of a hash of counts; a count that reaches zero leaves no field.
local function add(hash, field, by)
  if redis.call('HINCRBY', hash, field, by) <= 0 then
    redis.call('HDEL', hash, field)
  end
end
