-- rows: reads and writes programs, and keeps their indices. Each row is unpacked once a script.
--- include "counts"
local rows = {}

local function read(id)
  if rows[id] == nil then
    local record = redis.call('HGET', PROGRAMS, id)
    rows[id] = record and cmsgpack.unpack(record)
  end
  return rows[id] or nil
end

-- A single call's program is not among those that a tenant may hold so many of.
local function count_open(row, by)
  if not row.single_call then
    add(TENANTS, row.tenant, by)
  end
end

local function create(id, tenant, model, single_call, mirror)
  local row = {
    id = id, tenant = tenant, model = model, created_at = now, single_call = single_call, mirror = mirror,
    critical_path_s = 0, service_s = 0, wait_s = 0, calls = 0, prompt_tokens = 0, output_tokens = 0,
    engines = {}, threads = {},
  }
  rows[id] = row
  count_open(row, 1)
  return row
end

local function save(row)
  redis.call('HSET', PROGRAMS, row.id, cmsgpack.pack(row))
  redis.call('ZADD', ACTIVITY, now, row.id)
  if next(row.threads) then
    redis.call('ZREM', DUE, row.id)
  else
    local active_at = math.max(row.created_at, row.last_arrival_at or 0, row.last_completion_at or 0)
    local closed_at = row.ended_at or row.expired_at
    redis.call('ZADD', DUE, closed_at and closed_at + args.remember_s or active_at + args.session_ttl_s, row.id)
  end
end

local function forget(row)
  redis.call('HDEL', PROGRAMS, row.id)
  redis.call('ZREM', ACTIVITY, row.id)
  redis.call('ZREM', DUE, row.id)
  rows[row.id] = false
end
