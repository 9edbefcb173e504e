-- Changes an account of a budget as people say.
-- KEYS: the account. ARGV: reset or grant; milliseconds of the account's life; for
-- each measure what is granted.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
if ARGV[1] == 'reset' then
  -- What replicas hold and have counted stays, so that they settle what is on its way.
  local all, gone = redis.call('HKEYS', KEYS[1]), {}
  for _, f in ipairs(all) do
    if string.sub(f, 1, 1) ~= 'l' then gone[#gone + 1] = f end
  end
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
  -- Opened now, it is another one than the one that replicas remember.
  redis.call('HSET', KEYS[1], 'o', now)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if redis.call('HEXISTS', KEYS[1], 'o') == 0 then
  redis.call('HSET', KEYS[1], 'o', now)
end
for m = 1, 4 do
  local more = tonumber(ARGV[2 + m])
  if more > 0 then
    local f = 'g' .. m
    local have = tonumber(redis.call('HGET', KEYS[1], f) or '0')
    redis.call('HSET', KEYS[1], f, string.format('%.0f', math.min(have + more, 1e15)))
  end
end
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
