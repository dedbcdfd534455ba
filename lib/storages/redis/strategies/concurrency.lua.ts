/** The Lua version of `concurrency.strategy.ts`, with a hash on the server instead of a map in memory. */
export const concurrencyLua = `
-- concurrency: text "expiry at newest used soonest" and a hash, the log: "end cost" of each slot by its id.
local concurrency = { has_log = true }
strategies['concurrency'] = concurrency

local function empty_log(log, at)
  call('DEL', log)
  return { log = log, expiry = 0, at = at, newest = 0, used = 0, soonest = math.huge }
end

-- Calls back with id, end and cost of each slot.
local function each_slot(state, visit)
  local slots = call('HGETALL', state.log)
  for index = 1, #slots, 2 do
    local stop, cost = match(slots[index + 1], '(%d+) (%d+)')
    if not stop then fail_to_parse() end
    visit(slots[index], stop + 0, cost + 0)
  end
end

-- Returns the slots that have not ended.
local function held(state, now)
  local time = max(now, state.at)
  if time < state.soonest then return state.used end
  local used = 0
  each_slot(state, function(_, stop, cost) if stop > time then used = used + cost end end)
  return used
end

-- Keeps the text until a slot ends, and the log too, with slack.
local function keep_until(stop, state, now)
  state.expiry = max(state.expiry, stop)
  if call('PTTL', state.log) < stop - now then call('PEXPIRE', state.log, stop - now + slack(stop - now)) end
end

-- Drops slots that have ended. After the clock went back, moves the ends back as far.
local function bring_to(state, now)
  local time = max(now, state.at)
  local back = time - now
  state.at = now
  if time < state.soonest and back == 0 then return end
  local used, soonest, latest = 0, math.huge, 0
  each_slot(state, function(id, stop, cost)
    if stop <= time then call('HDEL', state.log, id)
    else
      if back > 0 then call('HSET', state.log, id, format('%d %d', stop - back, cost)) end
      used, soonest, latest = used + cost, min(soonest, stop - back), max(latest, stop - back)
    end
  end)
  state.used, state.soonest = used, soonest
  if back > 0 and used > 0 then
    state.expiry = 0
    keep_until(latest, state, now)
  end
end

-- Returns the log at now; a new one if all of its slots have ended.
local function open_log(state, now, log)
  if not state or held(state, now) == 0 then return empty_log(log, now) end
  bring_to(state, now)
  return state
end

local function next_id(state)
  return max(state.at, state.newest + 1)
end

local function put(state, id, stop, cost, now)
  call('HSET', state.log, format('%d', id), format('%d %d', stop, cost))
  state.newest, state.used = max(state.newest, id), state.used + cost
  state.soonest = min(state.soonest, stop)
  keep_until(stop, state, now)
end

local function cost_of(state, id)
  local slot = call('HGET', state.log, format('%d', id))
  return slot and (match(slot, ' (%d+)') or fail_to_parse()) + 0 or 0
end

function concurrency.remaining(state, limit, now)
  return max(0, limit.amount - (state and held(state, now) or 0))
end

function concurrency.reset_time(_, _, now)
  return now
end

-- Unknown.
function concurrency.wait()
  return -2
end

function concurrency.commit(state, limit, cost, now, log)
  local open = open_log(state, now, log)
  put(open, next_id(open), now + limit.period, cost, now)
  return open
end

function concurrency.refuse(state, _, now)
  if state.at <= now then return false end
  bring_to(state, now)
  return true
end

function concurrency.window(state)
  return state.newest
end

function concurrency.settle(state, limit, change, now, log)
  local of, actual = change.of, change.actual
  if not of then return state, nil end
  local open = open_log(state, now, log)
  local id = of.window or actual > 0 and next_id(open) or nil
  if id then open.used = open.used - cost_of(open, id) end
  if actual > 0 then put(open, id, now + limit.period, actual, now)
  elseif id then call('HDEL', log, format('%d', id)) end
  return open.used > 0 and open or nil, id
end

function concurrency.expires_at(state)
  return state.expiry
end

function concurrency.encode(state)
  local expiry = concurrency.expires_at(state)
  local soonest = state.used > 0 and state.soonest or 0
  return format('%d %d %d %d %d', expiry, state.at, state.newest, state.used, soonest), expiry
end

function concurrency.decode(text, log)
  local expiry, at, newest, used, soonest = match(text, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  if not expiry then fail_to_parse() end
  local state = {
    log = log, expiry = expiry + 0, at = at + 0, newest = newest + 0, used = used + 0, soonest = soonest + 0,
  }
  return state, state.expiry
end
`;
