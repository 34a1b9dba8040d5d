-- Takes a place for a called number, if one is free. The place counts from now on; it is sure once the visit is
-- committed, and given back when that does not happen by `valid_until`.
-- KEYS: room, the user's bucket.
-- ARGV: number, user, the room's clock, places (0 while it is paused), end of a renewed claim window, valid_until, until
--   when it may come late.
-- Answers: cold | claiming (already) | early (not called yet) | full (called, no place: stays first)
--   | late (noted as come late), whether the turn was missed by this | gone (too late), the same
--   | claimed epoch, the other number that the user held or 0.
local epoch = filled_epoch(KEYS[1])
if not epoch then return {'cold', 0, 0} end
local pages, claiming = KEYS[1] .. ':pages', KEYS[1] .. ':claiming'
local called, returned = KEYS[1] .. ':called', KEYS[1] .. ':returned'
local number, now = ARGV[1], tonumber(ARGV[3])

if redis.call('SISMEMBER', pages, number) == 1 then return {'claiming', 0, 0} end
if tonumber(number) > tonumber(redis.call('HGET', KEYS[1], 'serving')) then return {'early', 0, 0} end

local window_end = redis.call('ZSCORE', called, number)
if window_end and tonumber(window_end) > now then
  -- Promise 11: never more pages than places. Places that are being claimed count.
  if redis.call('SCARD', pages) >= tonumber(ARGV[4]) then
    redis.call('ZADD', called, 'GT', ARGV[5], number)
    return {'full', 0, 0}
  end
  redis.call('ZREM', called, number)
  redis.call('SADD', pages, number)
  redis.call('ZADD', claiming, ARGV[6], number)
  local held = redis.call('HGET', KEYS[2], ARGV[2])
  redis.call('HSET', KEYS[2], ARGV[2], number)
  if not held or held == number then held = 0 end
  return {'claimed', tonumber(epoch), tonumber(held)}
end

-- One that no look at the room has found before.
local missed = redis.call('ZREM', called, number)
if missed == 1 then redis.call('HINCRBY', KEYS[1], 'lapsed', 1) end
if now >= tonumber(ARGV[7]) then return {'gone', missed, 0} end
redis.call('ZADD', returned, ARGV[7], number)
return {'late', missed, 0}
