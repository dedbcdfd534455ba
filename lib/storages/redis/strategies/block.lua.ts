/** The Lua version of `block.ts`. */
export const blockLua = `
-- block: text "expiry until level", then " start pending before" if units are reserved, then " amount" of the limit that
-- refused. All of these, and " refusals since", if refusals are counted that have not led to a block. A block without an amount applies to every limit. Lua reserves the word "until", so the field is called stop.
local EVERY_AMOUNT = 9007199254740991

local function longest(limit)
  return max(unpack(limit.block))
end

-- Returns a copy of the state with the periods of reservations advanced to now.
local function reservations(state, limit, now)
  if not state then
    return {
      stop = 0, level = 0, amount = EVERY_AMOUNT, start = now, pending = 0, before = 0, refusals = 0, since = 0,
    }
  end
  local elapsed, period = now - state.start, limit.period
  local start, pending, before = now, 0, 0
  if elapsed < period and state.pending + state.before > 0 then
    start, pending, before = min(state.start, now), state.pending, state.before
  elseif elapsed < 2 * period and state.pending > 0 then
    start, before = state.start + period, state.pending
  end
  return {
    stop = state.stop, level = state.level, amount = state.amount,
    start = start, pending = pending, before = before,
    refusals = state.refusals, since = state.since,
  }
end

function block.blocked_until(state, limit, now)
  if not state or limit.amount > state.amount then return now end
  return max(now, min(state.stop, now + longest(limit)))
end

function block.commit(state, limit, now)
  local refusals = 1 + ((state and now - state.since < limit.period) and state.refusals or 0)
  if refusals < (limit.after or 1) then
    local counted = reservations(state, limit, now)
    counted.since = refusals == 1 and now or min(counted.since, now)
    counted.refusals = refusals
    return counted
  end
  local again = state and state.stop > 0 and now < state.stop + longest(limit)
  local level = again and min(state.level + 1, #limit.block - 1) or 0
  local following = reservations(state, limit, now)
  following.stop, following.level, following.amount = now + limit.block[level + 1], level, limit.amount
  following.refusals, following.since = 0, 0
  return following
end

function block.by_hand(state, limit, duration, now)
  local following = reservations(state, limit, now)
  following.stop, following.level, following.amount = duration > 0 and now + duration or 0, 0, EVERY_AMOUNT
  following.refusals, following.since = 0, 0
  return (following.stop > 0 or following.pending + following.before > 0) and following or nil
end

-- Shortens a block from the future, left by a clock that went back. Changes the state in place; returns whether it did.
function block.shorten(state, limit, now)
  local latest = now + longest(limit)
  if state.stop <= latest then return false end
  state.stop = latest
  return true
end

-- Units that are reserved and not settled.
function block.pending(state, limit, now)
  local current = reservations(state, limit, now)
  return current.pending + current.before
end

function block.reserve(state, limit, cost, now)
  local following = reservations(state, limit, now)
  following.pending = following.pending + cost
  return following
end

function block.settle(state, limit, cost, at, now)
  if not state then return nil end
  local following = reservations(state, limit, now)
  if at >= following.start then following.pending = max(0, following.pending - cost)
  elseif at >= following.start - limit.period then following.before = max(0, following.before - cost) end
  return block.expires_at(following, limit) > now and following or nil
end

function block.expires_at(state, limit)
  local forgotten = state.stop > 0 and state.stop + longest(limit) or 0
  if state.refusals > 0 then forgotten = max(forgotten, state.since + limit.period) end
  if state.pending > 0 then return max(forgotten, state.start + 2 * limit.period) end
  return state.before > 0 and max(forgotten, state.start + limit.period) or forgotten
end

function block.encode(state, limit)
  local expiry = block.expires_at(state, limit)
  local text = format('%d %d %d', expiry, state.stop, state.level)
  if state.refusals > 0 then
    return text .. format(
      ' %d %d %d %d %d %d', state.start, state.pending, state.before, state.amount, state.refusals, state.since
    ), expiry
  end
  if state.pending + state.before > 0 then
    text = text .. format(' %d %d %d', state.start, state.pending, state.before)
  end
  if state.amount ~= EVERY_AMOUNT then text = text .. format(' %d', state.amount) end
  return text, expiry
end

function block.decode(text)
  local _, stop, level, rest = match(text, '^(%d+) (%d+) (%d+)(.*)$')
  if not stop then fail_to_parse() end
  local start, pending, before, after = match(rest, '^ (%d+) (%d+) (%d+)(.*)$')
  local amount = match(after or rest, '^ (%d+)')
  local refusals, since = match(after or '', '^ %d+ (%d+) (%d+)$')
  return {
    stop = stop + 0, level = level + 0, amount = (amount or EVERY_AMOUNT) + 0,
    start = (start or 0) + 0, pending = (pending or 0) + 0, before = (before or 0) + 0,
    refusals = (refusals or 0) + 0, since = (since or 0) + 0,
  }
end
`;
