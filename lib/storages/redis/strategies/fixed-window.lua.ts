import type { LuaStrategy } from './lua-strategy.js';

/** Text: end, count. */
export const fixedWindowLua: LuaStrategy = {
  look: `
local count$, stop$ = 0, now
if state$ then
  local stop, count = match(state$, '(%d+) (%d+)')
  if now < stop + 0 then count$, stop$ = count + 0, min(stop + 0, now + period$) end
end
remaining$ = max(0, amount$ - count$)`,

  take: `
if count$ == 0 then stop$ = now + period$ end
count$ = count$ + cost$
next$, window$ = format('%.0f %.0f', stop$, count$), stop$`,

  refuse: `
if count$ > 0 and stop$ < match(state$, '%d+') + 0 then next$ = format('%.0f %.0f', stop$, count$) end`,

  reset: `reset$ = stop$`,
  wait: `wait$ = stop$ - now`,

  refund: `
if count$ > 0 and (not window$ or match(state$, '%d+') + 0 == window$) then
  next$ = count$ > cost$ and format('%s %.0f', match(state$, '%d+'), count$ - cost$) or ''
end`,
};
