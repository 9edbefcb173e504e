-- Charges calls to counters, to all or to none. A counter is a hash: field
-- "w:s" holds the calls of slice s of window w.
-- KEYS: the counters. ARGV, for each: calls wanted, number of windows, and for
-- each window its limit, what it lends beyond, and the milliseconds of a slice.
-- Returns the time in milliseconds, and for each counter: calls granted, calls
-- left of the limit, milliseconds until there is room, number of the window that has
-- least left, and 1 if what is granted is lent.
local SLICES = 20
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out, plan, a, room = {now}, {}, 1, true
for k = 1, #KEYS do
  local want, windows = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  a = a + 2
  local own, limit, width, sum, at, moved, ttl = {}, {}, {}, {}, {}, {}, 0
  for w = 1, windows do
    own[w], width[w] = tonumber(ARGV[a]), tonumber(ARGV[a + 2])
    limit[w] = own[w] + tonumber(ARGV[a + 1])
    sum[w], at[w], moved[w] = 0, {}, 0
    ttl = math.max(ttl, width[w] * (SLICES + 1))
    a = a + 3
  end
  local all, old = redis.call('HGETALL', KEYS[k]), {}
  for i = 1, #all, 2 do
    local w, s = string.match(all[i], '^(%d+):(%d+)$')
    w, s = tonumber(w), tonumber(s)
    local n, latest = tonumber(all[i + 1]), math.floor(now / width[w])
    if s > latest then -- the clock was put back: these count from now on
      old[#old + 1] = all[i]
      moved[w], s = moved[w] + n, latest
    end
    if latest - s > SLICES then
      old[#old + 1] = all[i]
    else
      sum[w] = sum[w] + n
      table.insert(at[w], {s, n})
    end
  end
  local left, free, wait, tight = math.huge, math.huge, 0, 0
  for w = 1, windows do
    left = math.min(left, limit[w] - sum[w])
    if own[w] - sum[w] < free then
      free, tight = own[w] - sum[w], w - 1
    end
    if sum[w] >= limit[w] then
      table.sort(at[w], function(x, y) return x[1] < y[1] end)
      local over = sum[w] - limit[w] + 1
      for _, p in ipairs(at[w]) do
        over = over - p[2]
        if over <= 0 then
          wait = math.max(wait, (p[1] + SLICES + 1) * width[w] - now)
          break
        end
      end
    end
  end
  local grant, lent = 0, 0
  if free >= 1 then
    grant = math.min(want, math.max(1, math.floor(free / 8)))
  elseif left >= 1 then
    grant, lent = math.min(want, math.max(1, math.floor(left / 8))), 1
  else
    room = false
  end
  plan[k] = {grant, width, moved, old, ttl}
  table.insert(out, grant)
  table.insert(out, math.max(0, free - grant))
  table.insert(out, wait)
  table.insert(out, tight)
  table.insert(out, lent)
end
for k = 1, #KEYS do
  local grant, width, moved, old, ttl = unpack(plan[k])
  if not room then
    grant, out[k * 5 - 3] = 0, 0
  end
  if #old > 0 then
    redis.call('HDEL', KEYS[k], unpack(old))
  end
  local wrote = false
  for w = 1, #width do
    if grant + moved[w] > 0 then
      redis.call('HINCRBY', KEYS[k], string.format('%d:%.0f', w, math.floor(now / width[w])), grant + moved[w])
      wrote = true
    end
  end
  if wrote then
    redis.call('PEXPIRE', KEYS[k], ttl)
  end
end
return out
