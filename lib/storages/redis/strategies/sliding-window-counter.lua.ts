import type { LuaStrategy } from './lua-strategy.js';

/** Text: expiry, ms from start to expiry, current, previous. */
export const slidingWindowCounterLua: LuaStrategy = {
  functions: `
local function weigh(count, left, period)
  return floor(count * left / period)
end
local function elapsed_until(count, target, period)
  if count <= target then return 0 end
  local elapsed = max(0, floor(period - (target + 1) * period / count) - 1)
  while weigh(count, period - elapsed, period) > target do elapsed = elapsed + 1 end
  return elapsed
end
local function sliding_time(previous, current, start, period, now, target)
  if target >= current then return max(now, start + elapsed_until(previous, target - current, period)) end
  return max(now, start + period + elapsed_until(current, target, period))
end
local function sliding_text(previous, current, start, period)
  local left = current > 0 and 2 * period or period
  return format('%.0f %.0f %.0f %.0f', start + left, left, current, previous)
end`,

  look: `
local previous$, current$, start$ = 0, 0, now
if state$ then
  local expiry, left, current, previous = match(state$, '(%d+) (%d+) (%d+) (%d+)')
  local start = expiry - left
  local elapsed = now - start
  if elapsed < 0 then
    previous$, current$ = previous + 0, current + 0
  elseif elapsed < period$ then
    previous$, current$, start$ = previous + 0, current + 0, start
  elseif elapsed < 2 * period$ and current + 0 > 0 then
    previous$, start$ = current + 0, start + period$
  end
end
local used$ = weigh(previous$, period$ - (now - start$), period$) + current$
remaining$ = max(0, amount$ - used$)`,

  take: `
current$, used$ = current$ + cost$, used$ + cost$
next$, window$ = sliding_text(previous$, current$, start$, period$), start$`,

  refuse: `
if state$ and start$ < match(state$, '%d+') - match(state$, '%d+ (%d+)') then
  next$ = sliding_text(previous$, current$, start$, period$)
end`,

  reset: `
if previous$ + current$ == 0 then reset$ = now
else reset$ = sliding_time(previous$, current$, start$, period$, now, usage_that_frees_one(used$, amount$)) end`,

  wait: `wait$ = sliding_time(previous$, current$, start$, period$, now, amount$ - cost$) - now`,

  refund: `
if previous$ + current$ > 0 then
  if not window$ or window$ == start$ then current$ = max(0, current$ - cost$)
  elseif window$ == start$ - period$ then previous$ = max(0, previous$ - cost$) end
  next$ = previous$ + current$ > 0 and sliding_text(previous$, current$, start$, period$) or ''
end`,
};
