/**
 * The Lua version of `moving-window.strategy.ts`, with a list on the server instead of an array in
 * memory.
 */
export const movingWindowLua = `
-- moving-window: text "expiry base cut" and a list, the log. The log has two whole numbers per entry: ms since the base, and
-- the running total up to and including the entry. Cut is the total of the entries that have been removed. Expiry is the log's.
-- The log is never emptied while it is used, or it would lose its time to live.
local moving_window = { has_log = true }
strategies['moving-window'] = moving_window

-- Returns offset and total of an entry.
local function entry_at(state, index)
  local entry = call('LRANGE', state.log, 2 * index, 2 * index + 1)
  return entry[1] + 0, entry[2] + 0
end

-- Returns the units consumed up to and including an entry.
local function total_at(state, index)
  return index < 0 and state.cut or call('LINDEX', state.log, 2 * index + 1) + 0
end

-- Returns the lowest index from low on for which holds(offset, total) is true, and its offset. Binary search: once true, holds
-- stays true, and it is true for the last entry. The result is mostly low, so the length of the log is read only otherwise.
local function lowest_index(state, low, holds)
  local offset, total = entry_at(state, low)
  if holds(offset, total) then return low, offset end
  local high = call('LLEN', state.log) / 2 - 1
  low = low + 1
  while low < high do
    local middle = floor((low + high) / 2)
    if holds(entry_at(state, middle)) then high = middle else low = middle + 1 end
  end
  return low, (entry_at(state, low))
end

-- Returns the units that count, and finds the first entry that does. Cached in the state, since a batch has one time.
local function used_since(state, time)
  if state.used then return state.used end
  local oldest = time - state.base
  if state.latest <= oldest then
    state.used = 0
  else
    state.first = lowest_index(state, 0, function(offset) return offset > oldest end)
    state.used = state.total - total_at(state, state.first - 1)
  end
  return state.used
end

-- Returns the first ms at which at most target units count, once enough of the oldest entries have expired.
local function time_of_usage(state, target, period, now)
  local total = state.total
  local _, offset = lowest_index(state, state.first, function(_, before) return total - before <= target end)
  return min(state.base + offset, now) + period
end

local function cut_off(state)
  if state.first == 0 then return end
  state.cut = total_at(state, state.first - 1)
  call('LTRIM', state.log, 2 * state.first, -1)
  state.first = 0
end

-- Merges entries from the future, left by a clock that went back, into one entry made now.
local function pull_back_future(state, now)
  local offset = now - state.base
  if state.latest <= offset then return end
  local before = call('LINDEX', state.log, -4)
  while before and before + 0 >= offset do
    call('RPOP', state.log, 2)
    before = call('LINDEX', state.log, -4)
  end
  call('LSET', state.log, -2, offset)
  call('LSET', state.log, -1, state.total)
  state.latest = offset
end

local function append(state, cost, now)
  local offset = now - state.base
  state.total, state.used = state.total + cost, state.used + cost
  if state.latest == offset then
    call('LSET', state.log, -1, state.total)
  else
    call('RPUSH', state.log, offset, state.total)
    state.latest = offset
  end
end

-- Extends the time to live of the log, with slack.
local function keep_log(state, period, now)
  if now + period <= state.expiry then return end
  state.expiry = now + period + slack(period)
  call('PEXPIRE', state.log, state.expiry - now)
end

-- Reads the newest entry and the total again, after the log has changed.
local function refresh(state)
  local tail = call('LRANGE', state.log, -2, -1)
  state.latest, state.total = (tail[1] or -1) + 0, (tail[2] or state.cut) + 0
  state.first, state.used = 0, #tail == 0 and 0
end

-- Changes the cost of an entry, and removes the entry if it is empty then.
local function add_to(state, index, change)
  for later = index, call('LLEN', state.log) / 2 - 1 do
    call('LSET', state.log, 2 * later + 1, total_at(state, later) + change)
  end
  if total_at(state, index) == total_at(state, index - 1) then
    -- Lists remove by value: mark the two numbers of the entry, then remove the marks.
    call('LSET', state.log, 2 * index, '')
    call('LSET', state.log, 2 * index + 1, '')
    call('LREM', state.log, 2, '')
  end
end

-- Removes units from the newest entries that count.
local function take_newest(state, cost)
  local index = call('LLEN', state.log) / 2 - 1
  while cost > 0 and index >= state.first do
    local taken = min(cost, total_at(state, index) - total_at(state, index - 1))
    add_to(state, index, -taken)
    cost, index = cost - taken, index - 1
  end
end

-- Inserts an entry without a cost before another, or at the end.
local function insert(state, index, offset)
  local total, later = total_at(state, index - 1), call('LRANGE', state.log, 2 * index, -1)
  call('RPUSH', state.log, 0, 0)
  call('LSET', state.log, 2 * index, offset)
  call('LSET', state.log, 2 * index + 1, total)
  for place = 1, #later do call('LSET', state.log, 2 * index + 1 + place, later[place]) end
end

-- Adds units to the entry at a time, or removes them; creates the entry if there is none.
local function change_entry(state, time, change)
  local offset, index = time - state.base, call('LLEN', state.log) / 2
  if state.latest >= offset then
    index = lowest_index(state, state.first, function(before) return before >= offset end)
  end
  if state.latest >= offset and entry_at(state, index) == offset then
    add_to(state, index, max(change, total_at(state, index - 1) - total_at(state, index)))
  elseif change > 0 then
    insert(state, index, offset)
    add_to(state, index, change)
  end
end

local function new_log(log, base)
  call('DEL', log)
  return { log = log, expiry = 0, base = base, cut = 0, first = 0, latest = -1, total = 0, used = 0 }
end

function moving_window.remaining(state, limit, now)
  return state and max(0, limit.amount - used_since(state, now - limit.period)) or limit.amount
end

function moving_window.reset_time(state, limit, now)
  local used = state and used_since(state, now - limit.period) or 0
  if used == 0 then return now end
  return time_of_usage(state, usage_that_frees_one(used, limit.amount), limit.period, now)
end

function moving_window.wait(state, limit, cost, now)
  return time_of_usage(state, limit.amount - cost, limit.period, now) - now
end

function moving_window.commit(state, limit, cost, now, log)
  if not state or used_since(state, now - limit.period) == 0 then
    state = new_log(log, now)
  else
    cut_off(state)
    pull_back_future(state, now)
  end
  append(state, cost, now)
  keep_log(state, limit.period, now)
  return state
end

-- Returns whether the text changed: it never does, since only the log is changed.
function moving_window.refuse(state, _, now)
  pull_back_future(state, now)
  return false
end

function moving_window.window(state)
  return state.base + state.latest
end

function moving_window.settle(state, limit, change, now, log)
  local of, difference, period = change.of, change.actual - change.cost, limit.period
  local at = of and min(of.at, now)
  if not state or used_since(state, now - period) == 0 then
    if not of or at <= now - period or difference <= 0 then return nil, of and of.at end
    state = new_log(log, at)
    append(state, difference, at)
  else
    cut_off(state)
    pull_back_future(state, now)
    if not of then take_newest(state, -difference)
    elseif at > now - period then change_entry(state, at, difference) end
    refresh(state)
  end
  if used_since(state, now - period) == 0 then
    call('DEL', log)
    return nil, of and of.at
  end
  keep_log(state, period, now)
  return state, of and of.at
end

function moving_window.expires_at(state)
  return state.expiry
end

function moving_window.encode(state)
  local expiry = moving_window.expires_at(state)
  return format('%d %d %d', expiry, state.base, state.cut), expiry
end

-- Also reads the newest entry of the log. A text without its log counts as missing.
function moving_window.decode(text, log)
  local expiry, base, cut = match(text, '(%d+) (%d+) (%d+)')
  if not expiry then fail_to_parse() end
  local tail = call('LRANGE', log, -2, -1)
  if #tail < 2 then return nil, expiry + 0 end
  local state = {
    log = log, expiry = expiry + 0, base = base + 0, cut = cut + 0, -- as stored
    first = 0, latest = tail[1] + 0, total = tail[2] + 0, used = false,
  }
  return state, state.expiry
end
`;
