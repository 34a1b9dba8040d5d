-- The visit made a hold: its place is free. Called only after that was committed, so that the places counted here are
-- never fewer than those taken.
-- KEYS: room. ARGV: number.
-- Answers: done.
redis.call('SREM', KEYS[1] .. ':pages', ARGV[1])
redis.call('ZREM', KEYS[1] .. ':claiming', ARGV[1])
return 'done'
