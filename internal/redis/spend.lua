-- Charges to counters what was used already, whether there is room or not.
-- KEYS: the counter. ARGV: units, number of windows, and for each window the
-- milliseconds of a slice.
local SLICES = 20
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl = 0
for w = 1, tonumber(ARGV[2]) do
  local width = tonumber(ARGV[2 + w])
  ttl = math.max(ttl, width * (SLICES + 1))
  redis.call('HINCRBY', KEYS[1], string.format('%d:%.0f', w, math.floor(now / width)), ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
