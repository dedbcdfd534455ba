/** The twin of `fixed-window-elastic-expiry.strategy.ts`; comes after the fixed window's, whose functions it shares. */
export const fixedWindowElasticExpiryLua = `
-- fixed-window-elastic-expiry: text "end count age". The age is the ms from the start to the end; it is negative where a
-- clock that went back left a start after the end.
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

function elastic_window.refund(state, _, cost, now, consumption)
  if not is_open(state, now) or (consumption and consumption.window ~= state.start) then return state end
  state.count = state.count - cost
  return state.count > 0 and state or nil
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
