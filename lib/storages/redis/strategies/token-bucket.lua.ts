/** The twin of `token-bucket.strategy.ts`. */
export const tokenBucketLua = `
-- token-bucket: text "expiry level left age consumed". Left is the ms from at to the expiry, age the ms from since to at.
-- A state keeps left: limits of other amounts share it, and one that refills slower may need it longer.
local token_bucket = {}
strategies['token-bucket'] = token_bucket

-- Returns the part of the level taken by a hit and those before it; not above 0 once all of it is refilled.
local function left_since(state, level, period, consumption)
  return consumption.at < state.since and 0 or level - (state.consumed - consumption.window) * period
end

-- Returns the level at now, less the refill since. A time from the future counts as now.
local function level_at(state, amount, now)
  return max(0, state.level - max(0, now - state.at) * amount)
end

-- Sets the time of the level to now. The expiry stays; one counted from a future time counts from now.
local function bring_to(state, now)
  state.left = state.left - max(0, now - state.at)
  state.at = now
  state.since = min(state.since, now)
end

function token_bucket.remaining(state, limit, now)
  if not state then return limit.burst end
  return divide_down(max(0, limit.burst * limit.period - level_at(state, limit.amount, now)), limit.period)
end

function token_bucket.reset_time(state, limit, now)
  local level = state and level_at(state, limit.amount, now) or 0
  if level == 0 or limit.burst == 0 then return now end
  local used = limit.burst - token_bucket.remaining(state, limit, now)
  return now + divide_up(level - (used - 1) * limit.period, limit.amount)
end

function token_bucket.wait(state, limit, cost, now)
  return divide_up(level_at(state, limit.amount, now) + (cost - limit.burst) * limit.period, limit.amount)
end

function token_bucket.commit(state, limit, cost, now)
  local level = state and level_at(state, limit.amount, now) or 0
  if level == 0 then return { level = cost * limit.period, at = now, since = now, consumed = cost, left = 0 } end
  bring_to(state, now)
  state.consumed = state.consumed + cost
  state.level = level + cost * limit.period
  return state
end

-- Also returns true if this limit needs the state longer than its expiry.
function token_bucket.refuse(state, limit, now)
  local from_future = state.at > now
  if from_future then bring_to(state, now) end
  return from_future or token_bucket.expires_at(state, limit) > state.at + state.left
end

function token_bucket.window(state)
  return state.consumed
end

function token_bucket.refund(state, limit, cost, now, consumption)
  local level, whole = level_at(state, limit.amount, now), cost * limit.period
  local left = consumption and left_since(state, level, limit.period, consumption) or level
  -- More is left than the hit took: earlier hits are refilled first, and later hits move up.
  if consumption and left > whole then state.consumed = state.consumed - cost end
  bring_to(state, now)
  state.level = level - max(0, min(level, whole, left))
  return state.level > 0 and state or nil
end

function token_bucket.expires_at(state, limit)
  return state.at + max(state.left, divide_up(state.level, max(1, limit.amount)))
end

function token_bucket.encode(state, limit)
  local expiry, at = token_bucket.expires_at(state, limit), state.at
  return format('%d %d %d %d %d', expiry, state.level, expiry - at, at - state.since, state.consumed), expiry
end

function token_bucket.decode(text)
  local expiry, level, left, age, consumed = match(text, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  if not expiry then fail_to_parse() end
  local at = expiry - left
  local state = { level = level + 0, at = at, since = at - age, consumed = consumed + 0, left = left + 0 }
  return state, expiry + 0
end
`;
