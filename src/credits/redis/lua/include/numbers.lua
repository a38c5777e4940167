-- Whole numbers as text: the default of Lua loses digits above 14.
local function int(n)
  return string.format('%.0f', n)
end

-- Engine time, Unix ms.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
