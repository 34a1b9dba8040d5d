-- Stands before every script.

-- The epoch that a room is filled with, as text; false when it is not filled. A filling counts only in the life of Redis
-- that it was made in: one that comes back from a dump or a late replica has forgotten the last moments, which is worse
-- than having forgotten everything.
local function filled_epoch(room)
  local filling = redis.call('HMGET', room, 'epoch', 'run_id')
  if not filling[1] then return false end
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  return filling[2] == run_id and filling[1]
end

