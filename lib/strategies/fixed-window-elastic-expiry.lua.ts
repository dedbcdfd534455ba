import { fixedWindowLua } from './fixed-window.lua.js';
import type { LuaStrategy } from './lua-strategy.js';

/** Text: end, count, start. */
export const fixedWindowElasticExpiryLua: LuaStrategy = {
  look: `
local count$, stop$, start$ = 0, now, now
if state$ then
  local stop, count, start = match(state$, '(%d+) (%d+) (%d+)')
  if now < stop + 0 then count$, stop$, start$ = count + 0, min(stop + 0, now + period$), start + 0 end
end
remaining$ = max(0, amount$ - count$)`,

  take: `
count$, stop$ = count$ + cost$, now + period$
next$, window$ = format('%.0f %.0f %.0f', stop$, count$, start$), start$`,

  refuse: `
if count$ > 0 then
  stop$ = now + period$
  next$ = format('%.0f %.0f %.0f', stop$, count$, start$)
end`,

  reset: fixedWindowLua.reset,
  wait: fixedWindowLua.wait,

  refund: `
if count$ > 0 and (not window$ or start$ == window$) then
  next$ = count$ > cost$ and format('%s %.0f %.0f', match(state$, '%d+'), count$ - cost$, start$) or ''
end`,
};
