-- Adds what one replica counted to a day of usage, once for each batch.
-- KEYS: the day, a hash. ARGV: field of the replica; number of the batch;
-- milliseconds that the day is kept; then fields and what to add to them.
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') >= tonumber(ARGV[2]) then return 0 end
for i = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
