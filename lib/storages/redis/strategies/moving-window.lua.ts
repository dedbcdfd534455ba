import type { LuaStrategy } from './lua-strategy.js';

/**
 * Text: expiry of the log, base, cut. The log is a list of two small whole numbers per entry: ms since the base, and the
 * running total up to and including the entry. `cut` is the total of what has left the list.
 */
export const movingWindowLua: LuaStrategy = {
  functions: `
-- Offset and total of an entry.
local function entry_at(log, index)
  local entry = call('LRANGE', log, 2 * index, 2 * index + 1)
  return entry[1] + 0, entry[2] + 0
end
-- The first entry from index on for which holds(offset, total), once true always true, and true of the last; and its offset.
-- Mostly that is the entry at index, so the length of the list is only asked for where it is not.
local function find_entry(log, index, holds)
  local offset, total = entry_at(log, index)
  if holds(offset, total) then return index, offset end
  local low, high = index + 1, call('LLEN', log) / 2 - 1
  while low < high do
    local middle = floor((low + high) / 2)
    if holds(entry_at(log, middle)) then high = middle else low = middle + 1 end
  end
  return low, (entry_at(log, low))
end
local function first_after(log, time)
  return (find_entry(log, 0, function(offset) return offset > time end))
end
-- The total up to and including the entry before one.
local function total_before(log, index, cut)
  return index == 0 and cut or call('LINDEX', log, 2 * index - 1) + 0
end
-- Entries from the future, left by a clock that went back, count as made now: they become one. The list is never emptied,
-- or it would lose its time to live.
local function pull_back(log, offset, total)
  local before = call('LINDEX', log, -4)
  while before and before + 0 >= offset do
    call('RPOP', log, 2)
    before = call('LINDEX', log, -4)
  end
  call('LSET', log, -2, format('%.0f', offset))
  call('LSET', log, -1, format('%.0f', total))
end
-- The first ms at which at most target units count: when the last entry too many has left.
local function moving_time(log, first, base, total, target, period, now)
  local _, offset = find_entry(log, first, function(_, before) return total - before <= target end)
  return min(base + offset, now) + period
end`,

  look: `
local expiry$, base$, cut$, first$, latest$, total$, used$ = 0, now, 0, 0, 0, 0, 0
if state$ then
  local tail = redis.pcall('LRANGE', log$, -2, -1)
  if tail.err then failure = tail
  elseif #tail == 2 then
    local expiry, base, cut = match(state$, '(%d+) (%d+) (%d+)')
    if base + tail[1] > now - period$ then
      expiry$, base$, cut$, latest$, total$ = expiry + 0, base + 0, cut + 0, tail[1] + 0, tail[2] + 0
      first$ = first_after(log$, now - period$ - base$)
      used$ = total$ - total_before(log$, first$, cut$)
    end
  end
end
remaining$ = max(0, amount$ - used$)`,

  take: `
if used$ == 0 then
  call('DEL', log$)
  expiry$, base$, cut$, latest$, total$ = 0, now, 0, -1, 0
else
  if first$ > 0 then
    cut$ = total_before(log$, first$, cut$)
    call('LTRIM', log$, 2 * first$, -1)
  end
  if latest$ > now - base$ then
    pull_back(log$, now - base$, total$)
    latest$ = now - base$
  end
end
first$, total$, used$ = 0, total$ + cost$, used$ + cost$
if latest$ == now - base$ then
  call('LSET', log$, -1, format('%.0f', total$))
else
  call('RPUSH', log$, format('%.0f', now - base$), format('%.0f', total$))
end
if now + period$ > expiry$ then
  expiry$ = now + period$ + slack(period$)
  call('PEXPIRE', log$, format('%.0f', expiry$ - now))
end
next$, window$ = format('%.0f %.0f %.0f', expiry$, base$, cut$), now`,

  refuse: `if latest$ > now - base$ then pull_back(log$, now - base$, total$) end`,

  reset: `
if used$ == 0 then reset$ = now
else reset$ = moving_time(log$, first$, base$, total$, usage_that_frees_one(used$, amount$), period$, now) end`,

  wait: `wait$ = moving_time(log$, first$, base$, total$, amount$ - cost$, period$, now) - now`,

  refund: `
if used$ > 0 then
  local size = call('LLEN', log$) / 2
  local entry, left = size - 1, cost$
  while window$ and entry >= first$ and base$ + entry_at(log$, entry) > window$ do entry = entry - 1 end
  while left > 0 and entry >= first$ and (not window$ or base$ + entry_at(log$, entry) == window$) do
    local before = total_before(log$, entry, cut$)
    local taken = min(left, total_before(log$, entry + 1) - before)
    for later = entry, size - 1 do
      call('LSET', log$, 2 * later + 1, format('%.0f', total_before(log$, later + 1) - taken))
    end
    if total_before(log$, entry + 1) == before then
      -- Lists remove by value: mark the two numbers of the entry, then remove the marks.
      call('LSET', log$, 2 * entry, '')
      call('LSET', log$, 2 * entry + 1, '')
      call('LREM', log$, 2, '')
      size = size - 1
    end
    left, used$, entry = left - taken, used$ - taken, window$ and -1 or entry - 1
  end
  if used$ == 0 then
    call('DEL', log$)
    next$ = ''
  end
end`,
};
