import type { LuaStrategy } from './lua-strategy.js';

/** Text: expiry, level, ms from at to expiry, ms from since to at, consumed. */
export const tokenBucketLua: LuaStrategy = {
  functions: `
local function bucket_text(expiry, level, since, consumed, now)
  return format('%.0f %.0f %.0f %.0f %.0f', expiry, level, expiry - now, now - min(since, now), consumed)
end`,

  look: `
local level$, expiry$, since$, consumed$ = 0, 0, now, 0
if state$ then
  local expiry, level, left, age, consumed = match(state$, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  local at = expiry - left
  level$ = max(0, level - max(0, now - at) * amount$)
  if level$ > 0 then expiry$, since$, consumed$ = min(at, now) + left, at - age, consumed + 0 end
end
local free$ = max(0, burst$ * period$ - level$)
remaining$ = (free$ - fmod(free$, period$)) / period$`,

  // Kept no shorter than before: a smaller plan, which refills slower, may have said so.
  take: `
level$, consumed$ = level$ + cost$ * period$, consumed$ + cost$
expiry$ = max(expiry$, now + divide_up(level$, max(1, amount$)))
next$, window$ = bucket_text(expiry$, level$, since$, consumed$, now), consumed$`,

  // A smaller plan, which refills slower, needs it longer; and a time from the future becomes one of now.
  refuse: `
if level$ > 0 then
  local needed = now + divide_up(level$, max(1, amount$))
  if expiry$ < needed or now < match(state$, '%d+') - match(state$, '%d+ %d+ (%d+)') then
    next$ = bucket_text(max(expiry$, needed), level$, since$, consumed$, now)
  end
end`,

  reset: `
if level$ == 0 or burst$ == 0 then reset$ = now
else reset$ = now + divide_up(level$ - (burst$ - remaining$ - 1) * period$, amount$) end`,

  wait: `wait$ = divide_up(level$ + (cost$ - burst$) * period$, amount$)`,

  refund: `
if level$ > 0 then
  local whole, left = cost$ * period$, level$
  if window$ then
    left = at$ < since$ and 0 or level$ - (consumed$ - window$) * period$
    if left > whole then consumed$ = consumed$ - cost$ end
  end
  level$ = level$ - max(0, min(level$, whole, left))
  next$ = level$ > 0 and bucket_text(expiry$, level$, since$, consumed$, now) or ''
end`,
};
