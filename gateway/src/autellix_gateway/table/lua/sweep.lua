-- sweep: settles calls whose lease ran out with what they had cost when last renewed, expires programs that sent no
-- call for the session's time to live, forgets ended and expired ones and settled calls after a while.
-- KEYS    see include/keys.lua
-- ARGV[1] {at_most, forget_at_most, forget_at_settling, session_ttl_s, remember_s, now?}: at_most bounds the leases and
--         the programs that one run looks at, forget_at_most the settled calls it forgets
-- Returns {calls, programs, more}: how many calls were settled, how many programs expired, whether to run again
--- include "keys"
--- include "arguments"
--- include "rows"
--- include "settle"

local function overdue(index)
  return redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, args.at_most)
end

local calls, lapsed = 0, overdue(LEASES)
for _, call in ipairs(lapsed) do
  local row = read(redis.call('HGET', CALLS, call) or '')
  local thread = row and row.threads[call]
  if thread then
    local so_far = {service_s = thread.service_s, wait_s = thread.wait_s, prompt_tokens = 0, output_tokens = 0}
    settle(row, call, so_far, false)
    calls = calls + 1
  else
    -- Its row is gone, which only an evicting Redis does: the index must not fill up with such calls.
    redis.call('ZREM', LEASES, call)
    redis.call('HDEL', CALLS, call)
  end
end

local programs, due = 0, overdue(DUE)
for _, id in ipairs(due) do
  local row = read(id)
  if not row or row.ended_at or row.expired_at then
    forget(row or {id = id})
  else
    row.expired_at = now
    count_open(row, -1)
    save(row)
    programs = programs + 1
  end
end

local more = forget_settled(args.forget_at_most) == args.forget_at_most
  or #lapsed == args.at_most or #due == args.at_most
return cmsgpack.pack({calls = calls, programs = programs, more = more})
