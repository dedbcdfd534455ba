/** The Lua version of `fixed-window.strategy.ts`. */
export const fixedWindowLua = `
-- fixed-window: text "end count". Lua reserves the word "end", so the field is called stop.
local fixed_window = {}
strategies['fixed-window'] = fixed_window

-- Returns true if the window is still open.
local function is_open(state, now)
  return state and now < state.stop
end

-- Returns when a window that opens now ends. The bounds of a calendar meet: each but the first is the end of a window.
local function end_at(limit, now)
  local bounds = limit.bounds
  if not bounds then return now + limit.period end
  return now >= bounds[3] and bounds[4] or now >= bounds[2] and bounds[3] or bounds[2]
end

-- Changes the count of a window; returns nil if it becomes 0.
local function recount(state, change)
  state.count = max(0, state.count + change)
  return state.count > 0 and state or nil
end

function fixed_window.remaining(state, limit, now)
  return is_open(state, now) and max(0, limit.amount - state.count) or limit.amount
end

function fixed_window.reset_time(state, limit, now)
  return is_open(state, now) and min(state.stop, end_at(limit, now)) or now
end

function fixed_window.wait(state, limit, _, now)
  return fixed_window.reset_time(state, limit, now) - now
end

function fixed_window.commit(state, limit, cost, now)
  local stop = end_at(limit, now)
  if not is_open(state, now) then return { count = cost, stop = stop } end
  state.count = state.count + cost
  state.stop = min(state.stop, stop)
  return state
end

-- Returns true if it changed the state, so that an unchanged one need not be encoded.
function fixed_window.refuse(state, limit, now)
  local stop = end_at(limit, now)
  if state.stop <= stop then return false end
  state.stop = stop
  return true
end

function fixed_window.window(state)
  return state.stop
end

function fixed_window.settle(state, limit, change, now)
  local open = is_open(state, now) and state or nil
  local window = open and open.stop
  if change.of then window = change.of.window end
  if window and window <= now then return state, window end
  if open and window == open.stop then return recount(open, change.actual - change.cost), window end
  if change.actual <= change.cost then return state, window end
  local charged = recount(open or { count = 0, stop = end_at(limit, now) }, change.actual - change.cost)
  return charged, charged.stop
end

function fixed_window.expires_at(state)
  return state.stop
end

-- Returns the text, and the epoch ms at which it expires.
function fixed_window.encode(state)
  local expiry = fixed_window.expires_at(state)
  return format('%d %d', expiry, state.count), expiry
end

-- Returns the state, and the epoch ms at which the text expires.
function fixed_window.decode(text)
  local stop, count = match(text, '(%d+) (%d+)')
  if not stop then fail_to_parse() end
  stop = stop + 0
  return { count = count + 0, stop = stop }, stop
end
`;
