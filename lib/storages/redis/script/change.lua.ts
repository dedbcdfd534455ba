/**
 * Settles hits to their actual costs; the Lua version of `settleBatch`. Must follow `decideLua`.
 */
export const settleLua = `
-- ARGV, per batch and limit, in one text: the current cost, the actual cost, the time of the hit ('-' for the current
-- window), its window ('-' for none), and 'p' if the hit is pending, else '-'. Line: as for a decision.
local function settle(cell, cost, actual, at, window, pending)
  local limit = cell.limit
  local change = { cost = cost, actual = actual, of = at and { at = at, window = window } }
  local state, counted = cell.strategy.settle(cell.state, limit, change, now, cell.log)
  if state then set(cell, state)
  elseif cell.text then call('HDEL', cell.identity.key, limit.field) end
  if pending then change_block(cell, block.settle(cell.block, limit, cost, at, now)) end
  cell.state, cell.cost = state, actual
  look(cell)
  cell.fits = true
  return report(cell, counted or -1)
end

return answer(function(before)
  local outcomes = {}
  for index = 1, #cells do
    local cost, actual, at, window, pending = match(ARGV[before + index], '(%d+) (%d+) (%S+) (%S+) (.)')
    outcomes[index] = settle(cells[index], cost + 0, actual + 0, tonumber(at), tonumber(window), pending == 'p')
  end
  return table.concat(outcomes, ' ')
end)
`;

/** Sets and lifts blocks; the Lua version of `blockBatch`. */
export const blockByHandLua = `
-- ARGV, per batch and limit: the duration in ms, 0 to lift the block. Line: empty.
return answer(function(before)
  for index = 1, #cells do
    local cell, duration = cells[index], ARGV[before + index] + 0
    change_block(cell, block.by_hand(cell.block, cell.limit, duration, now))
  end
  return ''
end)
`;
