-- settle: complete and abort. Folds what a call cost into its program and takes it off its engine, once a call.
-- KEYS    see include/keys.lua
-- ARGV[1] {program, call, fence, completed, measured = {service_s, wait_s, prompt_tokens, output_tokens},
--          forget_at_settling, session_ttl_s, remember_s, now?}
-- Returns whether the call was settled now; false: it was settled before, and nothing changed
--- include "keys"
--- include "arguments"
--- include "rows"
--- include "thread"
--- include "settle"

local thread, row = find(args)
if thread then
  settle(row, args.call, args.measured, args.completed)
end
return cmsgpack.pack(thread ~= nil)
