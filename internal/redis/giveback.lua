-- Takes back calls that were charged and not used.
-- KEYS: the counters. ARGV, for each: calls, the time they were charged at,
-- number of windows, and for each window the milliseconds of a slice.
local a = 1
for k = 1, #KEYS do
  local n, stamp, windows = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  a = a + 3
  for w = 1, windows do
    local field = string.format('%d:%.0f', w, math.floor(stamp / tonumber(ARGV[a])))
    a = a + 1
    local have = tonumber(redis.call('HGET', KEYS[k], field))
    if have and have > n then
      redis.call('HINCRBY', KEYS[k], field, -n)
    elseif have then
      redis.call('HDEL', KEYS[k], field)
    end
  end
end
return 1
