-- Brings one account of a budget up to date with what one replica did, and lets
-- the replica hold more of it. What replicas say is cumulative and absolute, so
-- that saying it twice, or once more after a lost answer, changes nothing.
-- KEYS: the account, a hash: u1..u4 used, g1..g4 granted, o when it was opened,
-- a whether the alert was told, x what was used beyond all, and for each replica
-- l<name> what it holds until when, and what of its use is counted.
-- ARGV: the replica; milliseconds that it may hold; of the account's life; whether
-- that begins with its last use; percent of the alert; milliseconds of the bound
-- of time; whether it needs anything; when, as far as it knows, the account was
-- opened that is not over yet (0 if it knows of none); then for each measure: limit (0 for none), used by this replica in all,
-- of that known to be counted, held as it stands, needed beyond that, wanted
-- beyond that, what of it all calls on their way need, and how much of the account
-- it knows to be used: a server that took the place of another, or lost its memory,
-- learns it again.
-- Returns whether it is granted (0, or the number of the measure of which there is
-- too little, 5 for time), whether the account is low and this replica the first
-- to hear of it (2), or low (1), its age and the time until it begins anew in
-- milliseconds, what was used beyond all, when it was opened, and for each measure: held by this
-- replica, used, limit with grants, held by others.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local me, hold, life, resting, alert, bound = 'l' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])
local needs, known, M, A = ARGV[7] == '1', tonumber(ARGV[8]), 4, 9
local used, more, others, mine = {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, nil
local opened, told, over, gone = nil, false, 0, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local f, v = all[i], all[i + 1]
  local kind, n = string.sub(f, 1, 1), tonumber(string.sub(f, 2))
  if f == me then
    mine = {}
    for w in string.gmatch(v, '%S+') do mine[#mine + 1] = tonumber(w) end
  elseif kind == 'u' then used[n] = tonumber(v)
  elseif kind == 'g' then more[n] = tonumber(v)
  elseif f == 'o' then opened = math.min(tonumber(v), now)
  elseif f == 'a' then told = true
  elseif f == 'x' then over = tonumber(v)
  elseif kind == 'l' then
    local r = {}
    for w in string.gmatch(v, '%S+') do r[#r + 1] = tonumber(w) end
    -- Where the clock was put back, a replica that died would hold for too long.
    if r[1] < now or r[1] > now + 20 * 60000 then
      gone[#gone + 1] = f
    else
      for m = 1, M do others[m] = others[m] + r[1 + m] end
    end
  end
end
local set, granted, holds, uses, low, asks = {}, 0, false, false, false, false
local n = 0
local function put(f, v)
  set[n + 1], set[n + 2], n = f, v, n + 2
end
local function int(v) return string.format('%.0f', v) end
local max, held, spent = {}, {}, {}
local reverted = false
if known > 0 and (not opened or opened == known) then
  if not opened then
    opened = known
    put('o', int(known))
  end
  for m = 1, M do reverted = reverted or tonumber(ARGV[A + 8 * m - 1]) > used[m] end
end
local age = opened and now - opened or 0
for m = 1, M do
  local limit, total, acked = tonumber(ARGV[A]), tonumber(ARGV[A + 1]), tonumber(ARGV[A + 2])
  local base, need = tonumber(ARGV[A + 3]), tonumber(ARGV[A + 4])
  A = A + 8
  local counted = mine and mine[1 + M + m] or acked
  if reverted then -- what it knows to be used includes all of its own that was counted
    counted, uses = acked, true
    used[m] = math.max(used[m], tonumber(ARGV[A - 1]))
    put('u' .. m, int(used[m]))
  end
  max[m], spent[m] = limit > 0 and limit + more[m] or 0, total
  if total > counted then
    uses = true
    used[m] = math.min(used[m] + total - counted, 1e15)
    if limit > 0 and used[m] > max[m] then
      if m == 1 then over = math.min(over + used[m] - max[m], 1e15); put('x', int(over)) end
      used[m] = max[m]
    end
    put('u' .. m, int(used[m]))
  end
  held[m] = base
  asks = asks or total > acked
  if limit > 0 and need > 0 and granted == 0 and max[m] - used[m] - others[m] - base < need then granted = m end
end
if needs and bound > 0 and opened and age >= bound then granted = 5 end
local ahead = 1 -- the share of what is wanted that there is of every measure
A = 9
for m = 1, M do
  local limit, need, want = tonumber(ARGV[A]), tonumber(ARGV[A + 4]), tonumber(ARGV[A + 5])
  A = A + 8
  if needs and granted == 0 then
    held[m] = held[m] + need
    if limit > 0 and want > 0 then
      ahead = math.min(ahead, math.max(0, math.floor((max[m] - used[m] - others[m] - held[m]) / 8)) / want)
    end
  end
end
A = 9
for m = 1, M do
  local limit, want, due = tonumber(ARGV[A]), tonumber(ARGV[A + 5]), tonumber(ARGV[A + 6])
  A = A + 8
  if needs and granted == 0 then held[m] = held[m] + math.floor(want * ahead) end
  holds = holds or held[m] > 0
  if alert > 0 and limit > 0 and used[m] + due >= math.floor(max[m] * alert / 100) then low = true end
end
if alert > 0 and bound > 0 and opened and age * 100 >= bound * alert then low = true end
local tell = 0
if low then
  tell = 1
  if not told and (granted == 0 and needs or uses) then tell = 2; put('a', '1') end
elseif told then
  redis.call('HDEL', KEYS[1], 'a')
end
if needs and granted == 0 and not opened then
  opened, age = now, 0
  put('o', int(now))
end
if holds or asks then -- what was counted is remembered until the replica knows
  put(me, table.concat({int(now + hold), int(held[1]), int(held[2]), int(held[3]), int(held[4]),
    int(spent[1]), int(spent[2]), int(spent[3]), int(spent[4])}, ' '))
elseif mine then
  gone[#gone + 1] = me
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if n > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
local left = redis.call('PTTL', KEYS[1])
if left == -1 or resting and (needs and granted == 0 or uses) and left >= 0 then
  redis.call('PEXPIRE', KEYS[1], life)
  left = life
end
local out = {granted, tell, age, math.max(left, 0), over, opened or 0}
for m = 1, M do
  out[#out + 1] = held[m]
  out[#out + 1] = used[m]
  out[#out + 1] = max[m]
  out[#out + 1] = others[m]
end
return out
