-- The visit is committed: its place is sure.
-- KEYS: room. ARGV: number, valid_until of the claim.
-- Answers: done.
local claiming = KEYS[1] .. ':claiming'
local valid_until = redis.call('ZSCORE', claiming, ARGV[1])
if valid_until and tonumber(valid_until) == tonumber(ARGV[2]) then
  redis.call('ZREM', claiming, ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'admitted', 1)
end
return 'done'
