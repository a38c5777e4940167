-- Whole numbers as text: the default of Lua loses digits above 14. %d costs a quarter of %.0f, and
-- is exact where a C long has 64 bits.
local INT = string.format('%d', 9007199254740991) == '9007199254740991' and '%d' or '%.0f'

local function int(n)
  return string.format(INT, n)
end

-- Engine time, Unix ms.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
