-- A number is over, and that is committed: it takes no place, is not called, and its user may join anew.
-- KEYS: room, the user's bucket. ARGV: number, user.
-- Answers: done.
local number = ARGV[1]
-- A room that is not filled learns of it when it is.
local serving = redis.call('HGET', KEYS[1], 'serving')
if not serving then return 'done' end
redis.call('SREM', KEYS[1] .. ':pages', number)
redis.call('ZREM', KEYS[1] .. ':claiming', number)
redis.call('ZREM', KEYS[1] .. ':called', number)
redis.call('ZREM', KEYS[1] .. ':returned', number)
if tonumber(number) > tonumber(serving) then redis.call('SADD', KEYS[1] .. ':left', number) end
if redis.call('HGET', KEYS[2], ARGV[2]) == number then redis.call('HDEL', KEYS[2], ARGV[2]) end
return 'done'
