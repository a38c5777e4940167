-- Moves what a hold counts in its key: spend and held (micros), open (holds), tokens given back.
-- A key that is not loaded is left alone: its load counts the live holds itself.
local function move_key(name, day, spend, held, open, tokens)
  local k = redis.call('HMGET', name, 'inc', 'plain')
  if k[1] ~= INC or k[2] == '1' then return end
  k = redis.call('HMGET', name, 'budget', 'start', 'spend', 'held', 'conc', 'open', 'tpm', 'tlvl')
  local w = {}
  if k[1] ~= '' and day >= tonumber(k[2]) then
    w = { 'spend', int(k[3] + spend), 'held', int(k[4] + held) }
  end
  if k[5] ~= '' and open ~= 0 then
    w[#w + 1] = 'open'
    w[#w + 1] = int(k[6] + open)
  end
  if k[7] ~= '' and tokens ~= 0 then
    w[#w + 1] = 'tlvl'
    w[#w + 1] = int(correct(tonumber(k[8]), tonumber(k[7]), tokens))
  end
  if #w > 0 then redis.call('HSET', name, unpack(w)) end
end
