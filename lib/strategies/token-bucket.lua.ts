import type { LuaStrategy } from './lua-strategy.js';

/** Text: expiry, level, at. */
export const tokenBucketLua: LuaStrategy = {
  functions: `
local function bucket_text(level, now, amount)
  return format('%.0f %.0f %.0f', now + divide_up(level, max(1, amount)), level, now)
end`,

  look: `
local level$ = 0
if state$ then
  local level, at = match(state$, '%d+ (%d+) (%d+)')
  level$ = max(0, level - max(0, now - at) * amount$)
end
local free$ = max(0, burst$ * period$ - level$)
remaining$ = (free$ - fmod(free$, period$)) / period$`,

  take: `
level$ = level$ + cost$ * period$
next$, window$ = bucket_text(level$, now, amount$), level$`,

  refuse: `
if state$ and now < match(state$, '%d+ %d+ (%d+)') + 0 then next$ = bucket_text(level$, now, amount$) end`,

  reset: `
if level$ == 0 or burst$ == 0 then reset$ = now
else reset$ = now + divide_up(level$ - (burst$ - remaining$ - 1) * period$, amount$) end`,

  wait: `wait$ = divide_up(level$ + (cost$ - burst$) * period$, amount$)`,

  refund: `
if level$ > 0 then
  local unfilled = window$ and window$ - (now - at$) * amount$ or level$
  level$ = level$ - min(level$, cost$ * period$, max(0, unfilled))
  next$ = level$ > 0 and bucket_text(level$, now, amount$) or ''
end`,
};
