-- A hold's record, version 1 (a new layout takes a new number and reads the old one too):
--   1 <H|S> <micros> <progress> <rev> <day> <tokens> <reserved_ms> <deadline_ms> <key id> <owner>
-- H = held, S = settled. tokens = asked for, at most the larger of the limits on tokens per
-- minute of key and account: from each as many were taken as it has.
local HOLD = '^1 (%u) (%d+) (%d+) (%d) (%-?%d+) (%d+) (%d+) (%d+) (%S+) (.*)$'

local function read_hold(text)
  local s, m, p, r, d, t, at, due, key, owner = string.match(text, HOLD)
  if not s then error('hold record not understood: ' .. text) end
  return {
    state = s, micros = tonumber(m), progress = tonumber(p), rev = tonumber(r), day = tonumber(d),
    tokens = tonumber(t), reserved = at, due = due, key = key, owner = owner,
  }
end

-- The same in parts, for what is done to every hold: all as the text has them. Records are put
-- together from texts: formatting numbers costs far more.

-- Of a hold that is held: micros, progress and what comes after the rev. nil: it is settled.
local function held_parts(text)
  local _, last, micros, progress = string.find(text, '^1 H (%d+) (%d+) %d ')
  if micros then return micros, progress, string.sub(text, last + 1) end
end

-- Of a settled hold: micros, rev, day. nil: it is held.
local function settled_parts(text)
  local micros, rev, day = string.match(text, '^1 S (%d+) %d+ (%d) (%-?%d+) ')
  if not micros and not held_parts(text) then error('hold record not understood: ' .. text) end
  return micros, rev, day
end

-- Of any hold: its key and the end of its lease.
local function lease_of(text)
  local due, key = string.match(text, '^1 %u %d+ %d+ %d %-?%d+ %d+ %d+ (%d+) (%S+) ')
  if not due then error('hold record not understood: ' .. text) end
  return key, due
end

local function write_hold(h)
  return string.format('1 %s %.0f %.0f %.0f %.0f %.0f %s %s %s %s', h.state, h.micros, h.progress,
    h.rev, h.day, h.tokens, h.reserved, h.due, h.key, h.owner)
end

-- Σ of the account's live holds of one key that count in a budget period: all, held only, and how
-- many are held at all; the last day that one counts in. O(holds of the account).
local function sum_key(records, key, start)
  local spend, held, open, last = 0, 0, 0, 0
  for i = 2, #records, 2 do
    local h = read_hold(records[i])
    if h.key == key then
      if h.state == 'H' then open = open + 1 end
      if h.day >= start then
        spend, last = spend + h.micros, math.max(last, h.day)
        if h.state == 'H' then held = held + h.micros end
      end
    end
  end
  return spend, held, open, last
end
