import { fixedWindowLua } from './fixed-window.lua.js';
import type { LuaStrategy } from './lua-strategy.js';

/** Text: end, count, ms from start to end. */
export const fixedWindowElasticExpiryLua: LuaStrategy = {
  functions: `
local function elastic_text(stop, count, start)
  return format('%.0f %.0f %.0f', stop, count, stop - start)
end`,

  look: `
local count$, stop$, start$ = 0, now, now
if state$ then
  -- A clock that went back may have left a start after the end.
  local stop, count, age = match(state$, '(%d+) (%d+) (%-?%d+)')
  if now < stop + 0 then count$, stop$, start$ = count + 0, min(stop + 0, now + period$), stop - age end
end
remaining$ = max(0, amount$ - count$)`,

  take: `
count$, stop$ = count$ + cost$, now + period$
next$, window$ = elastic_text(stop$, count$, start$), start$`,

  refuse: `
if count$ > 0 then
  stop$ = now + period$
  next$ = elastic_text(stop$, count$, start$)
end`,

  reset: fixedWindowLua.reset,
  wait: fixedWindowLua.wait,

  refund: `
if count$ > 0 and (not window$ or start$ == window$) then
  next$ = count$ > cost$ and elastic_text(match(state$, '%d+') + 0, count$ - cost$, start$) or ''
end`,
};
