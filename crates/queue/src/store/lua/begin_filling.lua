-- Who may fill the room, so that one loss of Redis begins one epoch. The right lapses with a filler that died.
-- KEYS: room. ARGV: an epoch that does not count any more or 0, how long the right lasts in milliseconds.
-- Answers: filled | ours | theirs.
local epoch = filled_epoch(KEYS[1])
if epoch and epoch ~= ARGV[1] then return 'filled' end
if redis.call('SET', KEYS[1] .. ':filling', 1, 'NX', 'PX', ARGV[2]) then return 'ours' end
return 'theirs'
