-- Gives the user a number, the same one when asked again.
-- KEYS: room, the user's bucket. ARGV: user, whether the room takes in (1 or 0).
-- Answers: cold | had number | closed | given number, last number of the block, epoch, serving
--   | empty 0, last number of the block, epoch.
local epoch = filled_epoch(KEYS[1])
if not epoch then return {'cold', 0, 0, 0, 0} end

local had = redis.call('HGET', KEYS[2], ARGV[1])
if had then return {'had', tonumber(had), 0, 0, 0} end
if ARGV[2] == '0' then return {'closed', 0, 0, 0, 0} end

local room = redis.call('HMGET', KEYS[1], 'next', 'block_end', 'serving')
local number, block_end = tonumber(room[1]), tonumber(room[2])
if number > block_end then return {'empty', 0, block_end, tonumber(epoch), 0} end
redis.call('HSET', KEYS[1], 'next', number + 1)
redis.call('HSET', KEYS[2], ARGV[1], number)
return {'given', number, block_end, tonumber(epoch), tonumber(room[3])}
