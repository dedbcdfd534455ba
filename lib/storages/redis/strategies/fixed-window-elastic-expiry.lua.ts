/**
 * The Lua version of `fixed-window-elastic-expiry.strategy.ts`. Must follow the fixed window, whose
 * functions it uses.
 */
export const fixedWindowElasticExpiryLua = `
-- fixed-window-elastic-expiry: text "end count age". The age is the ms from the start to the end; it is negative if the
-- clock went back and left a start after the end.
local elastic_window = {}
strategies['fixed-window-elastic-expiry'] = elastic_window

elastic_window.remaining = fixed_window.remaining
elastic_window.reset_time = fixed_window.reset_time
elastic_window.wait = fixed_window.wait

function elastic_window.commit(state, limit, cost, now)
  if not is_open(state, now) then return { count = cost, start = now, stop = now + limit.period } end
  state.count = state.count + cost
  state.stop = now + limit.period
  return state
end

function elastic_window.refuse(state, limit, now)
  if not is_open(state, now) then return false end
  state.stop = now + limit.period
  return true
end

function elastic_window.window(state)
  return state.start
end

function elastic_window.settle(state, limit, change, now)
  local open = is_open(state, now) and state or nil
  local window = open and open.start
  if change.of then window = change.of.window end
  if open and change.of and change.actual > change.cost then
    open.stop = max(open.stop, min(change.of.at, now) + limit.period)
  end
  if open and window == open.start then return recount(open, change.actual - change.cost), window end
  -- An empty window that later hits have extended cannot be distinguished from one that has ended.
  local has_ended = change.of and window and change.of.at + limit.period <= now
  if has_ended or change.actual <= change.cost then return state, window end
  local fresh = { count = 0, start = now, stop = now + limit.period }
  local charged = recount(open or fresh, change.actual - change.cost)
  return charged, charged.start
end

function elastic_window.expires_at(state)
  return state.stop
end

function elastic_window.encode(state)
  local expiry = elastic_window.expires_at(state)
  return format('%d %d %d', expiry, state.count, expiry - state.start), expiry
end

function elastic_window.decode(text)
  local stop, count, age = match(text, '(%d+) (%d+) (%-?%d+)')
  if not stop then fail_to_parse() end
  stop = stop + 0
  return { count = count + 0, start = stop - age, stop = stop }, stop
end
`;
