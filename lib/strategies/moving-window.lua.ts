import type { LuaStrategy } from './lua-strategy.js';

/**
 * Text: expiry of the log, base, cut. The log is a list of two small whole numbers per entry: ms since the base, and the
 * running total up to and including the entry. `cut` is the total of what has left the list.
 */
export const movingWindowLua: LuaStrategy = {
  functions: `
local function number_at(log, index)
  return call('LINDEX', log, index) + 0
end
-- The lowest entry from low below high for which holds(entry), once true always true.
local function lowest_entry(low, high, holds)
  if low < high and holds(low) then return low end
  while low < high do
    local middle = floor((low + high) / 2)
    if holds(middle) then high = middle else low = middle + 1 end
  end
  return low
end
local function first_after(log, size, offset)
  return lowest_entry(0, size, function(entry) return number_at(log, 2 * entry) > offset end)
end
-- Entries from the future, left by a clock that went back, count as made now: they become one. The list is never emptied,
-- or it would lose its time to live.
local function pull_back(log, size, offset)
  if number_at(log, -2) <= offset then return size end
  local total = number_at(log, -1)
  while size > 1 and number_at(log, -4) >= offset do
    call('RPOP', log, 2)
    size = size - 1
  end
  call('LSET', log, -2, format('%.0f', offset))
  call('LSET', log, -1, format('%.0f', total))
  return size
end
-- The first ms at which at most target units count: when the last entry too many has left.
local function moving_time(log, first, size, base, total, target, period, now)
  local last = lowest_entry(first, size, function(entry) return total - number_at(log, 2 * entry + 1) <= target end)
  return min(base + number_at(log, 2 * last), now) + period
end`,

  look: `
local expiry$, base$, cut$, first$, size$, total$, used$ = 0, now, 0, 0, 0, 0, 0
if state$ then
  local tail = redis.pcall('LRANGE', log$, -2, -1)
  if tail.err then failure = tail
  elseif #tail == 2 then
    local expiry, base, cut = match(state$, '(%d+) (%d+) (%d+)')
    if base + tail[1] > now - period$ then
      expiry$, base$, cut$, total$ = expiry + 0, base + 0, cut + 0, tail[2] + 0
      size$ = call('LLEN', log$) / 2
      first$ = first_after(log$, size$, now - period$ - base$)
      used$ = total$ - (first$ == 0 and cut$ or number_at(log$, 2 * first$ - 1))
    end
  end
end
remaining$ = max(0, amount$ - used$)`,

  take: `
if used$ == 0 then
  call('DEL', log$)
  expiry$, base$, cut$, size$, total$ = 0, now, 0, 0, 0
else
  if first$ > 0 then
    cut$ = number_at(log$, 2 * first$ - 1)
    call('LTRIM', log$, 2 * first$, -1)
    size$ = size$ - first$
  end
  size$ = pull_back(log$, size$, now - base$)
end
first$, total$, used$ = 0, total$ + cost$, used$ + cost$
if size$ > 0 and number_at(log$, -2) == now - base$ then
  call('LSET', log$, -1, format('%.0f', total$))
else
  call('RPUSH', log$, format('%.0f', now - base$), format('%.0f', total$))
  size$ = size$ + 1
end
if now + period$ > expiry$ then
  expiry$ = now + period$ + slack(period$)
  call('PEXPIRE', log$, format('%.0f', expiry$ - now))
end
next$, window$ = format('%.0f %.0f %.0f', expiry$, base$, cut$), now`,

  refuse: `if used$ > 0 then size$ = pull_back(log$, size$, now - base$) end`,

  reset: `
if used$ == 0 then reset$ = now
else reset$ = moving_time(log$, first$, size$, base$, total$, usage_that_frees_one(used$, amount$), period$, now) end`,

  wait: `wait$ = moving_time(log$, first$, size$, base$, total$, amount$ - cost$, period$, now) - now`,

  refund: `
if used$ > 0 then
  local entry, left = size$ - 1, cost$
  while window$ and entry >= first$ and base$ + number_at(log$, 2 * entry) > window$ do entry = entry - 1 end
  while left > 0 and entry >= first$ and (not window$ or base$ + number_at(log$, 2 * entry) == window$) do
    local before = entry == 0 and cut$ or number_at(log$, 2 * entry - 1)
    local taken = min(left, number_at(log$, 2 * entry + 1) - before)
    for later = entry, size$ - 1 do
      call('LSET', log$, 2 * later + 1, format('%.0f', number_at(log$, 2 * later + 1) - taken))
    end
    if number_at(log$, 2 * entry + 1) == before then
      -- Lists remove by value: mark the two numbers of the entry, then remove the marks.
      call('LSET', log$, 2 * entry, '')
      call('LSET', log$, 2 * entry + 1, '')
      call('LREM', log$, 2, '')
      size$ = size$ - 1
    end
    left, used$, entry = left - taken, used$ - taken, window$ and -1 or entry - 1
  end
  if used$ == 0 then
    call('DEL', log$)
    next$ = ''
  end
end`,
};
