-- settle: forget_settled drops calls settled long ago. settle takes a call out of its program's threads, off its engine
-- and out of the leases, and folds in what it cost: the same as autellix_core.program.settle. Its caller has looked the
-- thread up, so this happens once a call.
local function forget_settled(at_most)
  local old = math.min(redis.call('ZCOUNT', SETTLED, '-inf', now - args.remember_s), at_most)
  if old > 0 then
    redis.call('ZREMRANGEBYRANK', SETTLED, 0, old - 1)
  end
  return old
end

local function settle(row, call, measured, completed)
  local thread = row.threads[call]
  row.critical_path_s = math.max(row.critical_path_s, thread.inherited_s + measured.service_s)
  row.service_s = row.service_s + measured.service_s
  row.wait_s = row.wait_s + measured.wait_s
  row.prompt_tokens = row.prompt_tokens + measured.prompt_tokens
  row.output_tokens = row.output_tokens + measured.output_tokens
  if completed then
    row.last_completion_at = now
  end
  row.threads[call] = nil
  if thread.engine then
    add(ENGINES, thread.engine, -1)
  end
  redis.call('HDEL', CALLS, call)
  redis.call('ZREM', LEASES, call)
  redis.call('ZADD', SETTLED, now, call)
  forget_settled(args.forget_at_settling)
  if row.single_call and not next(row.threads) then
    forget(row)
  else
    save(row)
  end
end
