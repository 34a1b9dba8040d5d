-- No visit was made of a claim, and none will be: its place is free, its number is called once more.
-- KEYS: room. ARGV: number, valid_until of the claim, end of the new claim window.
-- Answers: done.
local claiming = KEYS[1] .. ':claiming'
local valid_until = redis.call('ZSCORE', claiming, ARGV[1])
-- A claim that was settled meanwhile, or another claim of the number, is left alone.
if valid_until and tonumber(valid_until) == tonumber(ARGV[2]) then
  redis.call('ZREM', claiming, ARGV[1])
  redis.call('SREM', KEYS[1] .. ':pages', ARGV[1])
  redis.call('ZADD', KEYS[1] .. ':called', 'GT', ARGV[3], ARGV[1])
end
return 'done'
