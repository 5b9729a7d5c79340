-- renew: prolongs the leases of one gateway's calls and notes what they have cost so far.
-- KEYS    see include/keys.lua
-- ARGV[1] {calls = [{program, call, fence, wait_s, service_s}], lease_s, session_ttl_s, remember_s, now?}
-- Returns the places in calls, from 0, of those to wind up: settled meanwhile, or of an ended program
--- include "keys"
--- include "arguments"
--- include "rows"
--- include "thread"

local over, changed = {}, {}
for place, ref in ipairs(args.calls) do
  local thread, row = find(ref)
  if thread then
    thread.lease_until = now + args.lease_s
    thread.wait_s, thread.service_s = ref.wait_s, ref.service_s
    redis.call('ZADD', LEASES, thread.lease_until, ref.call)
    changed[row.id] = row
  end
  if not thread or row.ended_at then
    over[#over + 1] = place - 1
  end
end
for _, row in pairs(changed) do
  save(row)
end
return cmsgpack.pack(over)
