/** Reads and writes the cells of a batch, and runs a step on every batch of a call. */
export const cellsLua = String.raw`
-- KEYS, per batch: the hash of each identity, then the log of each limit whose strategy has one, in their order.
-- ARGV[1]: now in epoch ms, or '' for the clock of the server.
-- ARGV[2]: the limits as JSON; identity is the index of the limit's hash among the KEYS of a batch, from 1; bounds are those of
-- the previous, the current and the next window of a calendar by the caller's clock: three starts, and the end of the last.
-- ARGV[3]: the number of batches. ARGV[4] onwards: the values that the step reads, per batch and limit.
local now = ARGV[1]
if now == '' then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
else
  now = now + 0
end
local limits = cjson.decode(ARGV[2])

-- Without the windows that are open now, nothing is counted: the caller asks once more with those near this time.
for index = 1, #limits do
  local bounds = limits[index].bounds
  if bounds and (now < bounds[1] or now >= bounds[4]) then return format('%d', now) end
end

-- A cell is the place where one limit of a batch is counted. All batches reuse the same tables, which saves a third of the time.
local cells, identities, logs = {}, {}, 0
for index = 1, #limits do
  local limit = limits[index]
  local identity = identities[limit.identity]
  if not identity then
    identity = { key = false, cells = {}, fields = {}, changed = {} }
    identities[limit.identity] = identity
  end
  local fields = identity.fields
  local cell = {
    limit = limit, strategy = strategies[limit.strategy], identity = identity,
    place = #fields + 1, log_place = false, log = false, -- indexes of its field and of its log
    state = nil, text = false, expiry = 0, next = false, expires = 0, -- as read, and as written
    block = nil, next_block = false, block_expires = 0,
    cost = 0, fits = false, unblocked = 0, remaining = 0, stop = now, -- of the hit; stop is when the block ends
  }
  cells[index], identity.cells[#identity.cells + 1] = cell, cell
  fields[cell.place] = limit.field
  if limit.block then fields[cell.place + 1] = limit.field .. '!' end
  if cell.strategy.has_log then
    logs = logs + 1
    cell.log_place = logs
  end
end
local keys_per_batch = #identities + logs

-- Reads a cell from the texts of its identity.
local function load_cell(cell, texts, first_log)
  local text = texts[cell.place]
  cell.text, cell.state, cell.expiry, cell.next = text, nil, 0, false
  if cell.log_place then cell.log = KEYS[first_log + cell.log_place] end
  if text then cell.state, cell.expiry = cell.strategy.decode(text, cell.log) end
  if cell.limit.block then
    local block_text = texts[cell.place + 1]
    cell.block, cell.next_block = block_text and block.decode(block_text) or nil, false
  end
end

-- Reads the cells of a batch.
local function read(batch)
  local first_key = batch * keys_per_batch
  for place = 1, #identities do
    local identity = identities[place]
    local fields, texts = identity.fields, nil
    identity.key = KEYS[first_key + place]
    -- For one field, HGET takes half the time of HMGET.
    if #fields == 1 then texts = { call('HGET', identity.key, fields[1]) }
    else texts = call('HMGET', identity.key, unpack(fields)) end
    for index = 1, #identity.cells do load_cell(identity.cells[index], texts, first_key + #identities) end
  end
end

-- Sets the new state of a cell. The time to live of the hash is checked only if the expiry has changed.
local function set(cell, state)
  local text, expiry = cell.strategy.encode(state, cell.limit)
  if text == cell.text then return end
  cell.next = text
  cell.expires = (state ~= cell.state or expiry ~= cell.expiry) and expiry or 0
end

local function set_block(cell, state)
  cell.next_block, cell.block_expires = block.encode(state, cell.limit)
end

-- Sets or removes a block.
local function change_block(cell, state)
  if state then set_block(cell, state)
  elseif cell.block then call('HDEL', cell.identity.key, cell.limit.field .. '!') end
  cell.block = state
end

-- Extends the time to live of a hash, with slack, and drops expired fields.
local function keep(key, expires)
  if call('PTTL', key) >= expires - now then return end
  local stored = call('HGETALL', key)
  for index = 1, #stored, 2 do
    local expiry = tonumber(match(stored[index + 1], '^%d+') or fail_to_parse())
    if expiry <= now then call('HDEL', key, stored[index]) end
    expires = max(expires, expiry)
  end
  call('PEXPIRE', key, expires - now + slack(expires - now))
end

-- Writes the changes of a batch, with one command per identity.
local function write()
  for place = 1, #identities do
    local identity = identities[place]
    local changed, count, expires = identity.changed, 0, 0
    for index = 1, #identity.cells do
      local cell = identity.cells[index]
      if cell.next then
        changed[count + 1], changed[count + 2] = cell.limit.field, cell.next
        count, expires = count + 2, max(expires, cell.expires)
      end
      if cell.next_block then
        changed[count + 1], changed[count + 2] = cell.limit.field .. '!', cell.next_block
        count, expires = count + 2, max(expires, cell.block_expires)
      end
    end
    if count > 0 then call('HSET', identity.key, unpack(changed, 1, count)) end
    if expires > 0 then keep(identity.key, expires) end
  end
end

-- Runs a step on every batch and writes its changes. The step gets the index before its batch's first value in ARGV, and
-- returns the line of the reply. If a batch fails, its line is '-' and the error; the other batches are not affected.
-- Reply: lines in one text, which drivers parse several times faster than a list. The first line is now in epoch ms: the
-- only line if now is outside of the bounds of a calendar.
local function answer(step)
  local lines = { format('%d', now) }
  local function run(batch)
    read(batch)
    local line = step(3 + batch * #cells)
    write()
    return line
  end
  for batch = 0, ARGV[3] - 1 do
    local done, line = pcall(run, batch)
    if not done then line = '-' .. (type(line) == 'table' and line.err or line) end -- Redis 6.2 throws strings, Redis 7 tables
    lines[batch + 2] = line
  end
  return table.concat(lines, '\n')
end
`;
