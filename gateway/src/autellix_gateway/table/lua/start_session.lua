-- start_session: opens a program before its first call; one that is known is returned as it is.
-- KEYS    see include/keys.lua
-- ARGV[1] {program, tenant, model, mirror, programs_per_tenant, session_ttl_s, remember_s, now?}
-- Returns {row}
-- Errors  {error = 'session_ended' | 'too_many_programs'}
--- include "keys"
--- include "arguments"
--- include "rows"

local row = read(args.program)
if row and row.ended_at then
  return cmsgpack.pack({error = 'session_ended'})
end
if not row then
  if tonumber(redis.call('HGET', TENANTS, args.tenant) or 0) >= args.programs_per_tenant then
    return cmsgpack.pack({error = 'too_many_programs'})
  end
  row = create(args.program, args.tenant, args.model, false, args.mirror)
  save(row)
end
return cmsgpack.pack({row = row})
