import { createHash } from 'node:crypto';
import { fixedWindowElasticExpiryLua } from './strategies/fixed-window-elastic-expiry.lua.js';
import { fixedWindowLua } from './strategies/fixed-window.lua.js';
import { luaArithmetic, type LuaStrategy } from './strategies/lua-strategy.js';
import { movingWindowLua } from './strategies/moving-window.lua.js';
import { slidingWindowCounterLua } from './strategies/sliding-window-counter.lua.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { tokenBucketLua } from './strategies/token-bucket.lua.js';

const luaStrategies: Readonly<Record<StrategyName, LuaStrategy>> = {
  'fixed-window': fixedWindowLua,
  'fixed-window-elastic-expiry': fixedWindowElasticExpiryLua,
  'moving-window': movingWindowLua,
  'sliding-window-counter': slidingWindowCounterLua,
  'token-bucket': tokenBucketLua,
};

/** What of a limit shapes a script; the numbers are arguments. */
export interface LimitShape {
  readonly strategy: StrategyName;
  readonly mode: 'enforce' | 'shadow';
  readonly blocks: boolean;
  /** Which of the batch's identities it counts, from 0. */
  readonly identity: number;
}

export type BatchStep = 'consume' | 'peek' | 'refund' | 'block';

/** A script for all batches of one shape. */
export interface BatchScript {
  /** Short and the same for the same script. */
  readonly name: string;
  readonly lua: string;
}

/**
 * Puts the script together that takes one step on batches of one shape: straight-line code, a stretch per limit, in a loop
 * over the batches that were gathered.
 *
 * - KEYS, per batch: the hash of each identity, then the log of each moving window, in the limits' order.
 * - ARGV: now in epoch ms, or '' for the server's clock; the number of batches; per limit: field, amount, period, burst, and
 *   where it blocks the longest duration and all durations; per batch and limit: cost, for a block its duration, and for a
 *   refund window and at ('' for the current window).
 * - Reply: lines in one text, which drivers read several times faster than a list of integers. The first is now in epoch ms;
 *   then one per batch: `-` and an error, or per limit: remaining, ms to the reset, ms to wait (-1: no wait helps), window
 *   (-1: nothing taken). A hit is allowed that need not wait.
 *
 * A hash holds a field per limit by the digest of its id, and with `!` its block; every value begins with the epoch ms at
 * which it expires. Expired fields are dropped whenever the key's time to live is prolonged, which is done with some slack,
 * not at every hit.
 */
export function batchScript(shape: readonly LimitShape[], step: BatchStep): BatchScript {
  const identities = [...new Set(shape.map(({ identity }) => identity))].sort((one, other) => one - other);
  const functions = new Set(shape.map(({ strategy }) => luaStrategies[strategy].functions ?? ''));
  const lua = [
    PRELUDE,
    luaArithmetic,
    ...functions,
    shape.some(({ blocks }) => blocks) ? BLOCK_FUNCTIONS : '',
    'local v = {}',
    constants(shape),
    'for batch = 0, batches - 1 do',
    'local failure, stored, fields, expires',
    batchArguments(shape, identities.length, step),
    ...identities.map((identity) => readStates(shape, identity)),
    each(shape, look),
    "if failure then lines[batch + 2] = '-' .. failure.err else",
    stepLines(shape, identities, step),
    'end',
    'end',
    "return table.concat(lines, '\\n')",
  ].join('\n');
  return { name: `nestjsLimits${createHash('sha1').update(lua).digest('hex').slice(0, 16)}`, lua };
}

const PRELUDE = `
local match, format = string.match, string.format
local floor, fmod, max, min = math.floor, math.fmod, math.max, math.min
local call = redis.call
local now = ARGV[1]
if now == '' then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
else
  now = now + 0
end
local batches = ARGV[2] + 0
local lines = { format('%.0f', now) }
local function slack(milliseconds)
  return max(1000, floor(milliseconds / 4))
end
-- Writes fields. Where one now expires later (else 0), keeps the key as long, and drops the fields that have expired.
local function write(key, fields, expires)
  call('HSET', key, unpack(fields))
  if expires == 0 or call('PTTL', key) >= expires - now then return end
  local stored = call('HGETALL', key)
  for index = 1, #stored, 2 do
    local expiry = match(stored[index + 1], '^%d+') + 0
    if expiry <= now then call('HDEL', key, stored[index]) end
    expires = max(expires, expiry)
  end
  call('PEXPIRE', key, format('%.0f', expires - now + slack(expires - now)))
end`;

/** Text of a block: expiry, until, level. */
const BLOCK_FUNCTIONS = `
local function blocked_until(text, longest)
  if not text then return now end
  return max(now, min(match(text, '%d+ (%d+)') + 0, now + longest))
end
-- A block from the future, left by a clock that went back, ends in time.
local function shortened_block(text, stop, longest)
  local before, level = match(text, '%d+ (%d+) (%d+)')
  return stop < before + 0 and format('%.0f %.0f %s', stop + longest, stop, level)
end
local function next_block(text, longest, durations)
  local level = 0
  if text then
    local expiry, before = match(text, '(%d+) %d+ (%d+)')
    if now < expiry + 0 then level = before + 1 end
  end
  local index, chosen = -1, 0
  for duration in string.gmatch(durations, '%d+') do
    index = index + 1
    chosen = duration + 0
    if index == level then break end
  end
  return now + chosen, format('%.0f %.0f %.0f', now + chosen + longest, now + chosen, index)
end`;

/** Lua knows 200 local variables: a script of more limits than this keeps its variables in a table instead. */
const MAX_LIMITS_WITH_LOCALS = 6;

/** The stretch of every limit, with its number for `$`. */
function each(shape: readonly LimitShape[], stretch: (limit: LimitShape) => string): string {
  return shape
    .map((limit, index) =>
      shape.length <= MAX_LIMITS_WITH_LOCALS
        ? stretch(limit).replaceAll('$', String(index + 1))
        : stretch(limit)
            .replace(/local ((?:\w+\$(?:, )?)+)/g, '$1')
            .replace(/(\w+)\$/g, `v.$1${index + 1}`),
    )
    .join('\n');
}

/** What holds for all batches: the limits' numbers. */
function constants(shape: readonly LimitShape[]): string {
  let argument = 2;
  const next = (): string => `ARGV[${++argument}]`;
  return [
    each(shape, ({ blocks }) =>
      [
        `local field$, amount$, period$, burst$ = ${next()}, ${next()} + 0, ${next()} + 0, ${next()} + 0`,
        blocks ? `local longest$, durations$ = ${next()} + 0, ${next()}` : '',
      ].join('\n'),
    ),
    `local first_argument = ${argument}`,
  ].join('\n');
}

/** What a batch brings: its keys, and the costs or refunds. */
function batchArguments(shape: readonly LimitShape[], identities: number, step: BatchStep): string {
  let log = identities;
  const keysPerBatch = identities + shape.filter(({ strategy }) => strategy === 'moving-window').length;
  const perLimit = step === 'refund' ? 3 : 1;
  let argument = 0;
  return [
    `local argument, key = first_argument + batch * ${shape.length * perLimit}, batch * ${keysPerBatch}`,
    each(shape, ({ strategy }) =>
      [
        `local state$, block$, remaining$, next$, window$, reset$, wait$ = false, false, 0, false, 0, now, 0`,
        `local cost$ = ARGV[argument + ${++argument}] + 0`,
        step === 'refund'
          ? `local window$, at$ = tonumber(ARGV[argument + ${++argument}]) or false, tonumber(ARGV[argument + ${++argument}]) or 0`
          : '',
        strategy === 'moving-window' ? `local log$ = KEYS[key + ${++log}]` : '',
      ].join('\n'),
    ),
  ].join('\n');
}

/** The key of an identity's hash. */
function keyOf(identity: number): string {
  return `KEYS[key + ${identity + 1}]`;
}

/** Reads the states and blocks of an identity's limits at once. */
function readStates(shape: readonly LimitShape[], identity: number): string {
  const fields: string[] = [];
  const variables: string[] = [];
  const collected = each(shape, (limit) => {
    if (limit.identity !== identity) return '';
    return limit.blocks ? "field$|state$|field$ .. '!'|block$" : 'field$|state$';
  });
  for (const line of collected.split('\n').filter(Boolean)) {
    line.split('|').forEach((part, index) => (index % 2 === 0 ? fields : variables).push(part));
  }
  return `
stored = redis.pcall('HMGET', ${keyOf(identity)}, ${fields.join(', ')})
if stored.err then failure = stored else ${variables.join(', ')} = unpack(stored) end`;
}

function look({ strategy, blocks }: LimitShape): string {
  return `${luaStrategies[strategy].look}
local until$ = ${blocks ? 'blocked_until(block$, longest$)' : 'now'}
local left$ = until$ > now and 0 or remaining$
local fits$, taken$, penalty$ = cost$ <= left$, false, false`;
}

function stepLines(shape: readonly LimitShape[], identities: readonly number[], step: BatchStep): string {
  switch (step) {
    case 'refund':
      return refund(shape, identities);
    case 'block':
      return blockByHand(shape, identities);
    case 'consume':
    case 'peek':
      return decide(shape, identities, step);
  }
}

function decide(
  shape: readonly LimitShape[],
  identities: readonly number[],
  step: 'consume' | 'peek',
): string {
  const enforced = each(shape, ({ mode }) => (mode === 'enforce' ? 'fits$' : 'true')).replaceAll(
    '\n',
    ' and ',
  );
  const report = each(
    shape,
    () => "format('%.0f %.0f %.0f %.0f', left$, reset$ - now, wait$, taken$ and window$ or -1)",
  ).replaceAll('\n', " .. ' ' .. ");
  return [
    `local allowed = ${enforced}`,
    step === 'consume' ? each(shape, takeOrLeave) : '',
    step === 'consume' ? identities.map((identity) => writeStates(shape, identity)).join('\n') : '',
    each(shape, times),
    `lines[batch + 2] = ${report}`,
  ].join('\n');
}

function takeOrLeave({ strategy, blocks }: LimitShape): string {
  const { take, refuse } = luaStrategies[strategy];
  return `
if allowed and fits$ and cost$ > 0 then
${take}
remaining$, taken$ = remaining$ - cost$, true
left$ = remaining$
elseif cost$ > 0 and until$ <= now then
${refuse}
${blocks ? 'if not fits$ and cost$ <= burst$ then until$, penalty$ = next_block(block$, longest$, durations$) end' : ''}
${
  blocks
    ? `elseif cost$ > 0 then
penalty$ = shortened_block(block$, until$, longest$)
if penalty$ then ${refuse} end`
    : ''
}
end`;
}

/** The times of a limit, once it is decided. */
function times({ strategy }: LimitShape): string {
  const { reset, wait } = luaStrategies[strategy];
  return `
${reset}
if not taken$ and cost$ > remaining$ then
if cost$ > burst$ then wait$ = -1 else ${wait} end
end
if until$ > now then
reset$ = remaining$ > 0 and until$ or max(until$, reset$)
left$ = 0
if not fits$ and wait$ >= 0 then wait$ = max(wait$, until$ - now) end
end`;
}

/** Writes what has changed of an identity's limits at once. */
function writeStates(shape: readonly LimitShape[], identity: number): string {
  return [
    `fields, expires = {}, 0`,
    each(shape, (limit) =>
      limit.identity === identity
        ? `${collect('field$', 'next$', 'state$')}${limit.blocks ? collect("field$ .. '!'", 'penalty$', 'block$') : ''}`
        : '',
    ),
    `if #fields > 0 then write(${keyOf(identity)}, fields, expires) end`,
  ].join('\n');
}

function collect(field: string, next: string, before: string): string {
  return `
if ${next} and ${next} ~= ${before} then
fields[#fields + 1] = ${field}
fields[#fields + 1] = ${next}
local expiry = match(${next}, '^%d+')
if not ${before} or expiry ~= match(${before}, '^%d+') then expires = max(expires, expiry + 0) end
end`;
}

function blockByHand(shape: readonly LimitShape[], identities: readonly number[]): string {
  return [
    each(
      shape,
      ({ identity }) => `
if cost$ > 0 then penalty$ = format('%.0f %.0f 0', now + cost$ + longest$, now + cost$)
else call('HDEL', ${keyOf(identity)}, field$ .. '!') end`,
    ),
    ...identities.map((identity) => writeStates(shape, identity)),
    `lines[batch + 2] = ''`,
  ].join('\n');
}

function refund(shape: readonly LimitShape[], identities: readonly number[]): string {
  return [
    each(
      shape,
      ({ strategy, identity }) => `
${luaStrategies[strategy].refund}
if next$ == '' then
call('HDEL', ${keyOf(identity)}, field$)
next$ = false
end`,
    ),
    ...identities.map((identity) => writeStates(shape, identity)),
    "lines[batch + 2] = ''",
  ].join('\n');
}
