-- Sets how many places in flight a replica holds. It says the whole number each
-- time, so that an answer that is lost, or a script that runs twice, does no harm.
-- KEYS: the counter, a hash: field "replica" is "places:time until which it holds
-- them". ARGV: the replica, places needed, places wanted beyond these, the limit,
-- milliseconds that they are held for.
-- Returns the places held now, and those that are free.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local me, need, spare, limit, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local others, mine, all, gone = 0, 0, redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local n, till = string.match(all[i + 1], '^(%d+):(%d+)$')
  if tonumber(till) <= now then
    gone[#gone + 1] = all[i]
  elseif all[i] == me then
    mine = tonumber(n)
  else
    others = others + tonumber(n)
  end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
local free = math.max(0, limit - others)
local held = need
if need > free then -- what it holds already it keeps; more there is not
  held = math.max(math.min(mine, need), free)
else
  held = need + math.min(spare, math.floor((free - need) / 8))
end
if held > 0 then
  redis.call('HSET', KEYS[1], me, string.format('%d:%.0f', held, now + ttl))
  redis.call('PEXPIRE', KEYS[1], ttl)
else
  redis.call('HDEL', KEYS[1], me)
end
return {held, math.max(0, free - held)}
