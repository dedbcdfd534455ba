/** The twin of `block.ts`. */
export const blockLua = `
-- block: text "expiry until level". Lua reserves the word "until", so the field is called stop.
local function longest(durations)
  return max(unpack(durations))
end

function block.blocked_until(state, durations, now)
  return state and max(now, min(state.stop, now + longest(durations))) or now
end

function block.commit(state, durations, now)
  local again = state and now < block.expires_at(state, durations)
  local level = again and min(state.level + 1, #durations - 1) or 0
  return { stop = now + durations[level + 1], level = level }
end

function block.by_hand(duration, now)
  return { stop = now + duration, level = 0 }
end

-- Shortens a block from the future, left by a clock that went back. Changes the state in place; returns whether it did.
function block.shorten(state, durations, now)
  local latest = now + longest(durations)
  if state.stop <= latest then return false end
  state.stop = latest
  return true
end

function block.expires_at(state, durations)
  return state.stop + longest(durations)
end

function block.encode(state, durations)
  local expiry = block.expires_at(state, durations)
  return format('%d %d %d', expiry, state.stop, state.level), expiry
end

function block.decode(text)
  local stop, level = match(text, '%d+ (%d+) (%d+)')
  if not stop then fail_to_parse() end
  return { stop = stop + 0, level = level + 0 }
end
`;
