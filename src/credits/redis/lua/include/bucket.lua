-- Token buckets in units of 1/60000: a limit of n a minute refills n units a ms, holds 60000 n and
-- gives one request or token for 60000. So refill and retry_after are exact in whole numbers.
local UNIT = 60000

local function refill(level, at, limit, now)
  if now <= at then return level end
  return math.min(limit * UNIT, level + (now - at) * limit)
end

-- A level over a load of its limit ('' = none): it stays where it is `known`, else it starts full.
local function load_level(limit, known, old, level, at, now)
  if limit == '' then return '', '' end
  local full = tonumber(limit) * UNIT
  if not known or not old or old == '' then
    return string.format('%.0f', full), string.format('%.0f', now)
  end
  return string.format('%.0f', math.min(full, tonumber(level))), at
end

-- Corrects tokens already taken: never fuller than full, never deeper than one minute below empty.
local function correct(level, limit, by)
  return math.max(-limit * UNIT, math.min(limit * UNIT, level + by * UNIT))
end
