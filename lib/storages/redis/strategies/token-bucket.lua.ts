/** The Lua version of `token-bucket.strategy.ts`. */
export const tokenBucketLua = `
-- token-bucket: text "expiry level left amount". Left is the ms from at to the expiry; amount is that of the limit of the newest hit.
-- A state stores left, since limits of other amounts share it, and one that refills slower may need it longer.
local token_bucket = {}
strategies['token-bucket'] = token_bucket

-- Returns the level at now, less the refill since. A time from the future counts as now.
local function level_at(state, amount, now)
  return max(0, state.level - max(0, now - state.at) * min(state.amount, amount))
end

-- Sets the time of the level to now. Keeps the expiry; one counted from a future time is counted from now.
local function bring_to(state, now)
  state.left = state.left - max(0, now - state.at)
  state.at = now
end

function token_bucket.remaining(state, limit, now)
  if not state then return limit.burst end
  return divide_down(max(0, limit.burst * limit.period - level_at(state, limit.amount, now)), limit.period)
end

function token_bucket.reset_time(state, limit, now)
  local level = state and level_at(state, limit.amount, now) or 0
  if level == 0 or limit.burst == 0 then return now end
  local used = limit.burst - token_bucket.remaining(state, limit, now)
  return now + divide_up(level - (used - 1) * limit.period, min(state.amount, limit.amount))
end

function token_bucket.wait(state, limit, cost, now)
  local level = level_at(state, limit.amount, now)
  return divide_up(level + (cost - limit.burst) * limit.period, min(state.amount, limit.amount))
end

function token_bucket.commit(state, limit, cost, now)
  local level = state and level_at(state, limit.amount, now) or 0
  if level == 0 then return { level = cost * limit.period, at = now, amount = limit.amount, left = 0 } end
  bring_to(state, now)
  state.level = level + cost * limit.period
  state.amount = limit.amount
  return state
end

-- Also returns true if this limit needs the state longer than its expiry.
function token_bucket.refuse(state, limit, now)
  local from_future = state.at > now
  if from_future then bring_to(state, now) end
  return from_future or token_bucket.expires_at(state, limit) > state.at + state.left
end

function token_bucket.window(state)
  return state.at
end

function token_bucket.settle(state, limit, change, now)
  local of, period = change.of, limit.period
  local level = state and level_at(state, limit.amount, now) or 0
  local amount = level > 0 and state.amount or limit.amount -- a full bucket does not store it
  local refilled = of and max(0, now - of.at) * max(limit.amount, amount) or 0
  local difference = (change.actual - change.cost) * period
  if difference <= 0 then difference = min(0, refilled + difference) end
  local settled = min(max(0, level + difference), ${Number.MAX_SAFE_INTEGER})
  if settled == 0 then return nil, of and of.window end
  if level > 0 then bring_to(state, now) else state = { at = now, left = 0 } end
  state.level, state.amount = settled, max(1, min(limit.amount, amount))
  return state, of and of.window
end

function token_bucket.expires_at(state, limit)
  return state.at + max(state.left, divide_up(state.level, max(1, min(state.amount, limit.amount))))
end

function token_bucket.encode(state, limit)
  local expiry, at = token_bucket.expires_at(state, limit), state.at
  return format('%d %d %d %d', expiry, state.level, expiry - at, state.amount), expiry
end

function token_bucket.decode(text)
  local expiry, level, left, amount = match(text, '(%d+) (%d+) (%d+) (%d+)')
  if not expiry then fail_to_parse() end
  return { level = level + 0, at = expiry - left, amount = amount + 0, left = left + 0 }, expiry + 0
end
`;
