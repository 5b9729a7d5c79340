-- arrive: registers a call with a lease, creating or reopening its program; the same as autellix_core.program.arrive.
-- KEYS    see include/keys.lua
-- ARGV[1] {program, call, tenant, model, single_call, programs_per_tenant, lease_s, session_ttl_s, remember_s, now?}
-- Returns {program, fence, inherited_s, service_s, wait_s, home?, over_limit, engine_calls = {engine = calls}}:
--         the fence is 0, which settles nothing, for a call that was settled before
-- Errors  {error = 'session_ended'}
--- include "keys"
--- include "arguments"
--- include "rows"
--- include "engine_calls"

local function admission(row, fence, inherited_s, over_limit)
  return cmsgpack.pack({
    program = row.id, fence = fence, inherited_s = inherited_s, service_s = row.service_s, wait_s = row.wait_s,
    home = row.home, over_limit = over_limit, engine_calls = engine_calls(),
  })
end

-- First the call's own identity: one that is known is not registered again, whatever became of its program.
local program = redis.call('HGET', CALLS, args.call)
local row = program and read(program)
local thread = row and row.threads[args.call]
if thread then
  return admission(row, thread.fence, thread.inherited_s, row.single_call and not args.single_call)
end
row = read(args.program)
if redis.call('ZSCORE', SETTLED, args.call) then
  row = row or {id = args.program, critical_path_s = 0, service_s = 0, wait_s = 0}
  return admission(row, 0, row.critical_path_s, false)
end

if row and row.ended_at then
  return cmsgpack.pack({error = 'session_ended'})
end
local id, single_call = args.program, args.single_call
if (row and row.expired_at or not row and not single_call)
    and tonumber(redis.call('HGET', TENANTS, row and row.tenant or args.tenant) or 0) >= args.programs_per_tenant then
  id, single_call = args.call, true
  row = read(id)
  if row and row.ended_at then
    return cmsgpack.pack({error = 'session_ended'})
  end
end

if not row then
  row = create(id, args.tenant, args.model, single_call, false)
elseif row.expired_at then
  row.expired_at = nil
  count_open(row, 1)
end
thread = {
  fence = redis.call('INCR', FENCE), arrived_at = now, inherited_s = row.critical_path_s,
  lease_until = now + args.lease_s, wait_s = 0, service_s = 0,
}
row.threads[args.call] = thread
row.calls = row.calls + 1
row.last_arrival_at = now
save(row)
redis.call('HSET', CALLS, args.call, id)
redis.call('ZADD', LEASES, thread.lease_until, args.call)
return admission(row, thread.fence, thread.inherited_s, row.single_call and not args.single_call)
