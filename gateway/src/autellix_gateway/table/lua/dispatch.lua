-- dispatch: counts a call on the engine it went to; the same as autellix_core.program.dispatch.
-- KEYS    see include/keys.lua
-- ARGV[1] {program, call, fence, engine, home, session_ttl_s, remember_s, now?}
-- Returns whether the call is under way; if not, nothing changed
--- include "keys"
--- include "arguments"
--- include "rows"
--- include "thread"

local thread, row = find(args)
if not thread then
  return cmsgpack.pack(false)
end
if thread.engine ~= args.engine then
  if thread.engine then
    add(ENGINES, thread.engine, -1)
  end
  add(ENGINES, args.engine, 1)
  thread.engine = args.engine
end
if args.home then
  row.home = args.engine
end
local known = false
for _, engine in ipairs(row.engines) do
  known = known or engine == args.engine
end
if not known then
  row.engines[#row.engines + 1] = args.engine
end
save(row)
return cmsgpack.pack(true)
