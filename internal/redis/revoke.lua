-- Changes the list of revocations, and announces it.
-- KEYS[1] the list; ARGV mode (set, add or delete), channel, an epoch for a list
-- that is new, then id and text of each entry, or the id of the one to delete.
local list, mode = KEYS[1], ARGV[1]
local changed = false
if redis.call('HEXISTS', list, '#epoch') == 0 then
  if mode == 'delete' then return 0 end
  redis.call('HSET', list, '#epoch', ARGV[3], '#version', 0)
end
if mode == 'delete' then
  changed = redis.call('HDEL', list, ARGV[4]) == 1
else
  for i = 4, #ARGV, 2 do
    if mode == 'set' then
      redis.call('HSET', list, ARGV[i], ARGV[i + 1])
      changed = true
    elseif redis.call('HSETNX', list, ARGV[i], ARGV[i + 1]) == 1 then
      changed = true
    end
  end
end
if not changed then return 0 end
local version = redis.call('HINCRBY', list, '#version', 1)
redis.call('PUBLISH', ARGV[2], version)
return version
