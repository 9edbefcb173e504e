-- The labels that a caller or task carries: a hash with a field for each label,
-- whose value is when it ends, a space, and who brought it.
-- KEYS: the hash. ARGV: read, or forget, or add and for each label its name, its
-- milliseconds and who brought it. Read and forget return for each label its
-- name, what is left of its milliseconds, and who brought it.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] == 'add' then
  local longest = 0
  for i = 2, #ARGV, 3 do
    local ends = now + tonumber(ARGV[i + 1])
    local have = redis.call('HGET', KEYS[1], ARGV[i])
    if have then
      ends = math.max(ends, tonumber(string.match(have, '^%d+')))
    end
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f %s', ends, ARGV[i + 2]))
    longest = math.max(longest, ends - now)
  end
  if longest > redis.call('PTTL', KEYS[1]) then
    redis.call('PEXPIRE', KEYS[1], longest)
  end
  return {}
end
local out = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, by = string.match(all[i + 1], '^(%d+) (.*)$')
  local left = tonumber(ends) - now
  if left > 0 then
    out[#out + 1] = all[i]
    out[#out + 1] = string.format('%.0f', left)
    out[#out + 1] = by
  end
end
if ARGV[1] == 'forget' then
  redis.call('DEL', KEYS[1])
end
return out
