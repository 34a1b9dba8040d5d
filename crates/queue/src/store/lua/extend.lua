-- Lets numbers be given up to one that Postgres has reserved under this epoch. Blocks of an epoch follow each other, so
-- the furthest end is right whoever reserved it.
-- KEYS: room. ARGV: epoch, the last number reserved.
-- Answers: cold | done.
if filled_epoch(KEYS[1]) ~= ARGV[1] then return 'cold' end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], 'block_end')) then
  redis.call('HSET', KEYS[1], 'block_end', ARGV[2])
end
return 'done'
