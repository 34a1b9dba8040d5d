-- Fills an empty room from what Postgres knows. A filling of an older epoch than the room's is refused.
-- KEYS: room.
-- ARGV: epoch, serving, last number reserved, turns missed, the user buckets' prefix, then how many entries follow of: pages; called,
--   as pairs (number, end of the claim window); left; users, as triples (bucket, user, number).
-- Answers: stale | filled.
local held = filled_epoch(KEYS[1])
if held and tonumber(held) >= tonumber(ARGV[1]) then return 'stale' end

for _, part in ipairs({'', ':pages', ':claiming', ':called', ':returned', ':left', ':filling'}) do
  redis.call('UNLINK', KEYS[1] .. part)
end

local at = 6
local function each(width, put)
  local last = at + tonumber(ARGV[at]) * width
  for entry = at + 1, last, width do put(entry) end
  at = last + 1
end
each(1, function(i) redis.call('SADD', KEYS[1] .. ':pages', ARGV[i]) end)
each(2, function(i) redis.call('ZADD', KEYS[1] .. ':called', ARGV[i + 1], ARGV[i]) end)
each(1, function(i) redis.call('SADD', KEYS[1] .. ':left', ARGV[i]) end)
each(3, function(i) redis.call('HSET', ARGV[5] .. ARGV[i], ARGV[i + 1], ARGV[i + 2]) end)

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'run_id', run_id, 'serving', ARGV[2], 'next', tonumber(ARGV[3]) + 1,
  'block_end', ARGV[3], 'lapsed', ARGV[4], 'admitted', 0)
return 'filled'
