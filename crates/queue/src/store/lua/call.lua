-- Calls the numbers up to a serving number that is committed.
-- KEYS: room.
-- ARGV: epoch, serving as it must be, serving as it becomes, end of the claim window, then the doubtful ranges as
--   pairs (number before the first, last).
-- Answers: cold | stale (somebody else has moved the line) | called how many.
if filled_epoch(KEYS[1]) ~= ARGV[1] then return {'cold', 0} end
if redis.call('HGET', KEYS[1], 'serving') ~= ARGV[2] then return {'stale', 0} end
local called, left = KEYS[1] .. ':called', KEYS[1] .. ':left'

local at, to, count, range = tonumber(ARGV[2]), tonumber(ARGV[3]), 0, 5
while at < to do
  local number = at + 1
  while ARGV[range] and tonumber(ARGV[range + 1]) < number do range = range + 2 end
  if ARGV[range] and tonumber(ARGV[range]) < number then
    at = math.min(tonumber(ARGV[range + 1]), to)
  else
    if redis.call('SREM', left, number) == 0 then
      redis.call('ZADD', called, ARGV[4], number)
      count = count + 1
    end
    at = number
  end
end
redis.call('HSET', KEYS[1], 'serving', ARGV[3])
-- The pace counts newcomers when they are called; it may owe a little after a race of two replicas.
redis.call('HSET', KEYS[1], 'tokens', tostring((tonumber(redis.call('HGET', KEYS[1], 'tokens')) or 0) - count))
return {'called', count}
