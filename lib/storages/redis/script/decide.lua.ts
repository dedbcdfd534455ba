/**
 * Functions shared by consuming and peeking; the Lua version of `look` and `report` in
 * `apply-batch.ts`.
 */
export const decideLua = `
-- ARGV, per batch and limit: the cost.
-- Line, per limit: remaining, ms to the reset, ms to wait (0: the hit is allowed, -1: it never will be, -2: unknown), window (-1:
-- none was taken, -2: a block refused the hit).

-- Decides one hit by the state before the batch.
local function look(cell)
  local limit = cell.limit
  cell.stop = limit.block and block.blocked_until(cell.block, limit, now) or now
  cell.unblocked = cell.strategy.remaining(cell.state, limit, now)
  cell.remaining = cell.stop > now and 0 or cell.unblocked
  cell.fits = cell.stop <= now and cell.cost <= cell.remaining
end

-- Decides all hits; returns true if every enforced limit allows its hit.
local function look_at_all(before)
  local allowed = true
  for index = 1, #cells do
    local cell = cells[index]
    cell.cost = ARGV[before + index] + 0
    look(cell)
    allowed = allowed and (cell.fits or cell.limit.shadow)
  end
  return allowed
end

local function outcome(remaining, reset_time, wait, window)
  return format('%d %d %d %d', remaining, reset_time - now, wait, window)
end

-- Returns the outcome of a hit that took no unit.
local function report(cell, window)
  local strategy, limit, cost, remaining = cell.strategy, cell.limit, cell.cost, cell.unblocked
  local reset_time, wait = strategy.reset_time(cell.state, limit, now), 0
  if cost > limit.burst then wait = -1
  elseif cost > remaining then wait = strategy.wait(cell.state, limit, cost, now) end
  if cell.stop > now then
    reset_time = remaining > 0 and cell.stop or max(cell.stop, reset_time)
    remaining = 0
    if not cell.fits then
      window = -2
      if wait ~= -1 then wait = max(wait, cell.stop - now) end
    end
  end
  return outcome(remaining, reset_time, cell.fits and 0 or wait, window or -1)
end
`;

/** Takes the cost of every hit, or of none; the Lua version of `consumeBatch`. */
export const consumeLua = `
local function take(cell)
  local strategy, limit, cost = cell.strategy, cell.limit, cell.cost
  local state = strategy.commit(cell.state, limit, cost, now, cell.log)
  set(cell, state)
  if limit.refundable then set_block(cell, block.reserve(cell.block, limit, cost, now)) end
  return outcome(cell.remaining - cost, strategy.reset_time(state, limit, now), 0, strategy.window(state))
end

-- Shortens a block that lies in the future. Returns true if it did.
local function shorten_block(cell)
  if not cell.block or not block.shorten(cell.block, cell.limit, now) then return false end
  set_block(cell, cell.block)
  return true
end

-- Blocks a limit that refuses. Not for a cost above the capacity, and not if the refusal depends on reservations that may
-- still be refunded.
local function penalize(cell)
  local limit = cell.limit
  if not limit.block or cell.cost > limit.burst then return end
  if limit.refundable and cell.cost <= cell.remaining + block.pending(cell.block, limit, now) then return end
  local penalty = block.commit(cell.block, limit, now)
  cell.stop = block.blocked_until(penalty, limit, now)
  set_block(cell, penalty)
end

-- Applies the effects of a hit that was not taken: extends elastic windows and, if this hit was refused, blocks its limit.
local function leave(cell)
  if cell.cost > 0 then
    local blocked, state = cell.stop > now, cell.state
    local active = not blocked or shorten_block(cell)
    if state and active and cell.strategy.refuse(state, cell.limit, now) then set(cell, state) end
    if not blocked and not cell.fits then penalize(cell) end
  end
  return report(cell)
end

return answer(function(before)
  local allowed, outcomes = look_at_all(before), {}
  for index = 1, #cells do
    local cell = cells[index]
    local taken = allowed and cell.fits and cell.cost > 0
    outcomes[index] = taken and take(cell) or leave(cell)
  end
  return #cells == 1 and outcomes[1] or table.concat(outcomes, ' ')
end)
`;

/** Returns the result that a batch would have. Changes nothing. The Lua version of `peekBatch`. */
export const peekLua = `
return answer(function(before)
  look_at_all(before)
  local outcomes = {}
  for index = 1, #cells do outcomes[index] = report(cells[index]) end
  return table.concat(outcomes, ' ')
end)
`;
