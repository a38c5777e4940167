-- What holds count in their key, and in the limits of their account, whose hash has the same
-- fields. A key that is not loaded is left alone: its load counts the live holds itself. The same
-- goes for one without limits.
local NONE = {}

local function read_key(name)
  local k = redis.call('HMGET', name, 'inc', 'plain')
  if k[1] ~= INC or k[2] == '1' then return NONE end
  k = redis.call('HMGET', name, 'budget', 'start', 'spend', 'held', 'conc', 'open', 'tpm', 'tlvl')
  local key = { limited = true }
  if k[1] ~= '' then
    key.start, key.spend, key.held = tonumber(k[2]), tonumber(k[3]), tonumber(k[4])
  end
  if k[5] ~= '' then key.open = tonumber(k[6]) end
  if k[7] ~= '' then key.tpm, key.tlvl = tonumber(k[7]), tonumber(k[8]) end
  return key
end

-- Moves spend and held (micros), open (holds), tokens: given back (of a hold, which names what it
-- asked for: no more than the limit was taken; below zero: taken) and used.
local function move_read_key(key, day, spend, held, open, back, used)
  if key.start and day >= key.start then
    key.spend, key.held, key.moved = key.spend + spend, key.held + held, true
  end
  if key.open then key.open = key.open + open end
  if key.tpm then
    local by = math.max(-key.tpm, math.min(key.tpm, back)) - used
    if by ~= 0 then key.tlvl = correct(key.tlvl, key.tpm, by) end
  end
end

local function write_read_key(name, key)
  local w = {}
  if key.moved then w = { 'spend', int(key.spend), 'held', int(key.held) } end
  if key.open then
    w[#w + 1] = 'open'
    w[#w + 1] = int(key.open)
  end
  if key.tpm then
    w[#w + 1] = 'tlvl'
    w[#w + 1] = int(key.tlvl)
  end
  if #w > 0 then redis.call('HSET', name, unpack(w)) end
end

local function move_key(name, day, spend, held, open, back)
  local key = read_key(name)
  move_read_key(key, day, spend, held, open, back, 0)
  write_read_key(name, key)
end
