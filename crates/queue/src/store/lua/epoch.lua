-- The epoch that the room is filled with.
-- KEYS: room. Answers: the epoch, or nil.
return tonumber(filled_epoch(KEYS[1]) or nil)
