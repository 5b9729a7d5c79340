-- end_session: ends a program; its calls under way still settle. The same as autellix_core.program.end.
-- KEYS    see include/keys.lua
-- ARGV[1] {program, session_ttl_s, remember_s, now?}
-- Returns {row}, or {} if there is no such program
--- include "keys"
--- include "arguments"
--- include "rows"

local row = read(args.program)
if row and not row.ended_at then
  if not row.expired_at then
    count_open(row, -1)
  end
  row.ended_at = now
  save(row)
end
return cmsgpack.pack({row = row})
