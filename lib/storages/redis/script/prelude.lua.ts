/** The start of every script: short names, and the Lua version of the functions that the pure steps share in `strategy.ts`. */
export const preludeLua = `
local match, format = string.match, string.format
local floor, fmod, max, min = math.floor, math.fmod, math.max, math.min
local call = redis.call

-- The strategies of this script by name, and the steps of blocks. A state is a table; nil means that nothing is consumed.
local strategies, block = {}, {}

-- a / b rounded up, exact for whole numbers up to 2^53.
local function divide_up(a, b)
  local rest = fmod(a, b)
  return (a - rest) / b + (rest > 0 and 1 or 0)
end

-- a / b rounded down, exact for whole numbers from 0 to 2^53.
local function divide_down(a, b)
  return (a - fmod(a, b)) / b
end

-- Returns the highest usage at which remaining is greater than now.
local function usage_that_frees_one(used, amount)
  return max(0, min(used, amount) - 1)
end

-- Returns extra time to live in ms, so that not every hit has to extend it.
local function slack(milliseconds)
  return max(1000, floor(milliseconds / 4))
end

local function fail_to_parse()
  error('A stored text cannot be read: does another program write under this keyPrefix?', 0)
end
`;
