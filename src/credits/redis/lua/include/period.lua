-- Day of the month of a Unix day: the civil calendar, from a year that begins in March.
local function day_of_month(day)
  local z = day + 719468
  local doe = z % 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
    - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local month = math.floor((5 * doy + 2) / 153)
  return doy - math.floor((153 * month + 2) / 5) + 1
end

-- First UTC day of the budget period that `day` falls into. Weeks start on Monday; total = 0.
local function period_start(period, day)
  if period == 'day' then return day end
  if period == 'week' then return day - (day + 3) % 7 end
  if period == 'month' then return day - day_of_month(day) + 1 end
  return 0
end
