/** Gives back what still counts: the twin of `refundBatch`. */
export const refundLua = `
-- ARGV, per batch and limit: the cost, and window and time of the consumption, both '' for the current window. Line: empty.
return answer(3, function(before)
  for index = 1, #cells do
    local cell, place = cells[index], before + 3 * index
    local cost, window, at = ARGV[place - 2] + 0, tonumber(ARGV[place - 1]), tonumber(ARGV[place])
    if cell.state then
      local consumption = window and { window = window, at = at }
      local state = cell.strategy.refund(cell.state, cell.limit, cost, now, consumption)
      if state then set(cell, state) else call('HDEL', cell.identity.key, cell.limit.field) end
    end
  end
  return ''
end)
`;

/** Sets and lifts blocks: the twin of `blockBatch`. */
export const blockByHandLua = `
-- ARGV, per batch and limit: the duration in ms, 0 to lift the block. Line: empty.
return answer(1, function(before)
  for index = 1, #cells do
    local cell, duration = cells[index], ARGV[before + index] + 0
    if duration > 0 then set_block(cell, block.by_hand(duration, now))
    else call('HDEL', cell.identity.key, cell.limit.field .. '!') end
  end
  return ''
end)
`;
