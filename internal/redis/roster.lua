-- Says how a replica is doing, and returns what all have said: names and words in
-- turn.
-- KEYS: the roster. ARGV: the replica's name, milliseconds until it is forgotten,
-- its words.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local all, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local at, words = string.match(all[i + 1], '^(%d+) (.*)$')
  if not at or tonumber(at) < now - ARGV[2] then
    redis.call('HDEL', KEYS[1], all[i])
  else
    out[#out + 1] = all[i]
    out[#out + 1] = words
  end
end
return out
