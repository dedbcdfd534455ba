/** The Lua version of `sliding-window-counter.strategy.ts`. */
export const slidingWindowCounterLua = `
-- sliding-window-counter: text "expiry left current previous". Left is the ms from the start to the expiry.
local sliding_window = {}
strategies['sliding-window-counter'] = sliding_window

-- Returns the state at now, as a copy if it differs. Windows advance; a window from the future begins now.
local function roll(state, period, now)
  if not state then return nil end
  local elapsed = now - state.start
  if elapsed < 0 then return { previous = state.previous, current = state.current, start = now } end
  if elapsed < period then return state end
  if elapsed < 2 * period and state.current > 0 then
    return { previous = state.current, current = 0, start = state.start + period }
  end
  return nil
end

local function weigh(count, left, period)
  return floor(count * left / period)
end

local function used_at(view, period, now)
  return weigh(view.previous, period - (now - view.start), period) + view.current
end

-- Returns the first elapsed ms of a window at which the weighted count of the previous window is at most target.
local function elapsed_until(count, target, period)
  if count <= target then return 0 end
  -- The estimate may be off by one through rounding, so the formula itself decides.
  local elapsed = max(0, floor(period - (target + 1) * period / count) - 1)
  while weigh(count, period - elapsed, period) > target do elapsed = elapsed + 1 end
  return elapsed
end

-- Returns the first ms from now on at which at most target units are used, without further hits.
local function time_of_usage(view, period, now, target)
  if target >= view.current then
    return max(now, view.start + elapsed_until(view.previous, target - view.current, period))
  end
  return max(now, view.start + period + elapsed_until(view.current, target, period))
end

local function charge_now(view, cost, now)
  local state = view or { previous = 0, current = 0, start = now }
  state.current = state.current + cost
  return state, state.start
end

function sliding_window.remaining(state, limit, now)
  local view = roll(state, limit.period, now)
  return view and max(0, limit.amount - used_at(view, limit.period, now)) or limit.amount
end

function sliding_window.reset_time(state, limit, now)
  local period = limit.period
  local view = roll(state, period, now)
  if not view then return now end
  return time_of_usage(view, period, now, usage_that_frees_one(used_at(view, period, now), limit.amount))
end

function sliding_window.wait(state, limit, cost, now)
  local view = roll(state, limit.period, now)
  return view and time_of_usage(view, limit.period, now, limit.amount - cost) - now or 0
end

function sliding_window.commit(state, limit, cost, now)
  local view = roll(state, limit.period, now)
  if not view then return { previous = 0, current = cost, start = now } end
  view.current = view.current + cost
  return view
end

function sliding_window.refuse(state, _, now)
  if state.start <= now then return false end
  state.start = now
  return true
end

function sliding_window.window(state)
  return state.start
end

function sliding_window.settle(state, limit, change, now)
  local view, period, difference = roll(state, limit.period, now), limit.period, change.actual - change.cost
  local window = view and view.start
  if change.of then window = change.of.window end
  if window and window + 2 * period <= now then return view, window end
  if view and window == view.start then view.current = max(0, view.current + difference)
  elseif view and window == view.start - period then view.previous = max(0, view.previous + difference)
  elseif difference > 0 then return charge_now(view, difference, now) end
  return view and view.previous + view.current > 0 and view or nil, window
end

function sliding_window.expires_at(state, limit)
  return state.start + (state.current > 0 and 2 * limit.period or limit.period)
end

function sliding_window.encode(state, limit)
  local expiry = sliding_window.expires_at(state, limit)
  return format('%d %d %d %d', expiry, expiry - state.start, state.current, state.previous), expiry
end

function sliding_window.decode(text)
  local expiry, left, current, previous = match(text, '(%d+) (%d+) (%d+) (%d+)')
  if not expiry then fail_to_parse() end
  return { previous = previous + 0, current = current + 0, start = expiry - left }, expiry + 0
end
`;
