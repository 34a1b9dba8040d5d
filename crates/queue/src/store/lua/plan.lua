-- One look at the room: lapses calls that were not answered, calls late comers, and plans which numbers to call next.
-- Numbers are not called here: that waits until the new serving number is committed (call.lua).
-- KEYS: room.
-- ARGV: now, the room's clock, capacity, admissions per second, open (1 or 0), end of a claim window that begins now, the
--   most numbers to look at, then the doubtful ranges as pairs (number before the first, last).
-- Answers: cold | planned and a list: epoch, serving, serving as planned, last number given, pages, called, admitted so
--   far, lapsed, lapsed in all, late comers called, then claims whose time is over as pairs (number, valid_until).
local epoch = filled_epoch(KEYS[1])
if not epoch then return {'cold', {}} end
local pages, called, returned = KEYS[1] .. ':pages', KEYS[1] .. ':called', KEYS[1] .. ':returned'
local left, claiming = KEYS[1] .. ':left', KEYS[1] .. ':claiming'
local clock, capacity, pace = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local walk = tonumber(ARGV[7])

-- By the room's clock, which stands still while it is paused: nobody misses a turn then.
local lapsed = redis.call('ZREMRANGEBYSCORE', called, '-inf', clock)
redis.call('ZREMRANGEBYSCORE', returned, '-inf', clock)
if lapsed > 0 then redis.call('HINCRBY', KEYS[1], 'lapsed', lapsed) end

local room = redis.call('HMGET', KEYS[1], 'serving', 'next', 'admitted', 'tokens', 'tokens_at', 'late_was_last',
  'lapsed')
local serving, issued = tonumber(room[1]), tonumber(room[2]) - 1

local free, late, to = 0, 0, serving
if ARGV[5] == '1' then
  -- The pace: a bucket that holds a quarter of a second.
  local burst = math.max(1, math.ceil(pace / 4))
  local tokens, tokens_at = tonumber(room[4]) or burst, tonumber(room[5]) or clock
  tokens = math.min(burst, tokens + math.max(0, clock - tokens_at) * pace / 1000)

  free = capacity - redis.call('SCARD', pages) - redis.call('ZCARD', called)
  free = math.max(0, math.min(free, math.floor(tokens)))

  -- How far the line moves when it calls 0, 1, 2, ... newcomers. Numbers that were left and numbers that nobody may
  -- hold are passed over and keep no place.
  local reach, newcomers, at, range = {[0] = serving}, 0, serving, 8
  while at < issued and walk > 0 do
    walk = walk - 1
    local number = at + 1
    while ARGV[range] and tonumber(ARGV[range + 1]) < number do range = range + 2 end
    if ARGV[range] and tonumber(ARGV[range]) < number then
      at = math.min(tonumber(ARGV[range + 1]), issued)
    elseif redis.call('SISMEMBER', left, number) == 1 then
      at = number
    elseif newcomers < free then
      newcomers = newcomers + 1
      at = number
    else
      break
    end
    reach[newcomers] = at
  end

  -- Late comers go first, with at most half of the places where newcomers wait: an odd one goes to each in turn.
  local late_comers = redis.call('ZCARD', returned)
  late = math.min(late_comers, free)
  if late > 0 and newcomers > 0 then
    local late_was_last = room[6] == '1'
    local share = late_was_last and math.floor(free / 2) or math.ceil(free / 2)
    if free % 2 == 1 then redis.call('HSET', KEYS[1], 'late_was_last', late_was_last and '0' or '1') end
    late = math.min(late, math.max(share, free - newcomers))
  end
  to = reach[math.min(newcomers, free - late)]

  if late > 0 then
    for _, number in ipairs(redis.call('ZRANGE', returned, 0, late - 1)) do
      redis.call('ZREM', returned, number)
      redis.call('ZADD', called, ARGV[6], number)
    end
  end
  redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - late), 'tokens_at', clock)
end

local answer = {
  tonumber(epoch), serving, to, issued, redis.call('SCARD', pages), redis.call('ZCARD', called), tonumber(room[3]),
  lapsed, tonumber(room[7]) or 0, late,
}
local overdue = redis.call('ZRANGE', claiming, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, 100, 'WITHSCORES')
for _, value in ipairs(overdue) do answer[#answer + 1] = tonumber(value) end
return {'planned', answer}
