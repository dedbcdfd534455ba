import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import type { StrategyName } from 'nestjs-limits';
import { composeScript, type BatchStep } from '../../../lib/storages/redis/batch-script.js';
import { preludeLua } from '../../../lib/storages/redis/script/prelude.lua.js';
import { blockLua } from '../../../lib/storages/redis/strategies/block.lua.js';
import { luaStrategies } from '../../../lib/storages/redis/strategies/lua-strategies.js';
import { strategyNames } from '../../../lib/strategies/strategies.js';
import { describeWith } from '../../support/describe-with.js';

const steps: readonly BatchStep[] = ['consume', 'peek', 'settle', 'block'];

/** Replaces the server: a moving window reads the log `entries`. */
const SERVER = `
local entries = { '0', '2', '15000', '3' }
redis = {}
function redis.call(command, _, first, last)
  if command == 'LLEN' then return #entries end
  if first < 0 then first, last = first + #entries, (last or first) + #entries end
  if command == 'LINDEX' then return entries[first + 1] or false end
  if command == 'LRANGE' then return { unpack(entries, first + 1, last + 1) } end
  error('no ' .. command)
end`;

/** Prints the results of a text of each strategy, under a limit of 5 a minute, at 20,000 ms. */
const PROBE = `
local limit, now = { amount = 5, burst = 5, period = 60000 }, 20000
local state, expiry = strategy.decode(text, 'the log')
print(expiry, strategy.remaining(state, limit, now), strategy.reset_time(state, limit, now))
print(strategy.wait(state, limit, 4, now), strategy.window(state), (strategy.refuse(state, limit, now)))
print(strategy.encode(state, limit))
print(strategy.remaining(nil, limit, now), strategy.reset_time(nil, limit, now))
print(pcall(strategy.decode, 'not ours', 'the log'))`;

const NOT_OURS = 'false\tA stored text cannot be read: does another program write under this keyPrefix?';

/** By strategy: a stored text, and the expected output. */
const printed: Readonly<Record<StrategyName, [text: string, ...lines: string[]]>> = {
  'fixed-window': [
    '70000 3',
    '70000\t2\t70000',
    '50000\t70000\tfalse',
    '70000 3\t70000',
    '5\t20000',
    NOT_OURS,
  ],
  'fixed-window-elastic-expiry': [
    '70000 3 65000',
    '70000\t2\t70000',
    '50000\t5000\ttrue',
    '80000 3 75000\t80000',
    '5\t20000',
    NOT_OURS,
  ],
  'calendar-window': [
    '65000 3',
    '65000\t2\t65000',
    '45000\t65000\tfalse',
    '65000 3\t65000',
    '5\t20000',
    NOT_OURS,
  ],
  'moving-window': [
    '90000 1000 0',
    '90000\t2\t61000',
    '41000\t16000\tfalse',
    '90000 1000 0\t90000',
    '5\t20000',
    NOT_OURS,
  ],
  'sliding-window-counter': [
    '130000 120000 1 3',
    '130000\t2\t30001',
    '30001\t10000\tfalse',
    '130000 120000 1 3\t130000',
    '5\t20000',
    NOT_OURS,
  ],
  'token-bucket': [
    '46000 180000 36000 5',
    '46000\t2\t22000',
    '14000\t10000\tfalse',
    '46000 180000 36000 5\t46000',
    '5\t20000',
    NOT_OURS,
  ],
  concurrency: [
    '90000 15000 14000 3 45000',
    '90000\t2\t20000',
    '-2\t14000\tfalse',
    '90000 15000 14000 3 45000\t90000',
    '5\t20000',
    NOT_OURS,
  ],
};

function runLua(...chunks: readonly string[]): string[] {
  return execFileSync('lua5.1', ['-'], { input: chunks.join('\n'), encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

describeWith('lua5.1', 'the Lua of a strategy, alone', () => {
  it.each(strategyNames)('%s: decodes, decides and encodes like the pure steps', (name) => {
    const [text, ...lines] = printed[name];
    const probed = `local strategy, text = strategies['${name}'], '${text}'`;
    expect(runLua(SERVER, preludeLua, ...luaStrategies[name], probed, PROBE)).toEqual(lines);
  });

  it('block: decodes, shortens, extends and encodes like the pure steps', () => {
    const probe = `
local limit = { amount = 5, block = { 10000, 30000 }, period = 60000 }
local state = block.decode('75000 45000 0')
print(block.blocked_until(state, limit, 20000), block.blocked_until(nil, limit, 20000))
print(block.shorten(state, limit, 20000), block.shorten(state, limit, 10000))
print(block.encode(state, limit))
print(block.encode(block.commit(state, limit, 50000), limit))
print(block.encode(block.commit(state, limit, 70000), limit))
print(block.encode(block.by_hand(nil, limit, 5000, 20000), limit))
local reserved = block.reserve(block.reserve(state, limit, 2, 20000), limit, 3, 80000)
print(block.pending(reserved, limit, 80000), block.encode(reserved, limit))
print(block.encode(block.settle(reserved, limit, 2, 20000, 80000), limit))
print(block.pending(block.decode('200000 0 0 80000 3 2'), limit, 139999), block.settle(nil, limit, 1, 20000, 20000))
local low, high = { amount = 4, block = { 10000 }, period = 60000 }, { amount = 6, block = { 10000 }, period = 60000 }
local ours = block.decode('110000 80000 1 5')
print(block.blocked_until(ours, low, 75000), block.blocked_until(ours, limit, 75000), block.blocked_until(ours, high, 75000))
print(block.encode(block.decode('110000 80000 1 80000 3 2 5'), limit))
local patient = { amount = 5, block = { 10000 }, period = 60000, after = 3 }
local first = block.commit(nil, patient, 1000000)
print(block.encode(first, patient))
print(block.encode(block.reserve(block.decode('1060000 0 0 1000000 0 0 5 1 1000000'), patient, 4, 1030000), patient))
print(block.encode(block.commit(block.commit(first, patient, 1059999), patient, 1059999), patient))
print(block.encode(block.commit(first, patient, 1060000), patient))
print(block.by_hand(first, patient, 0, 1000001))
print(pcall(block.decode, 'not ours'))`;
    expect(runLua(SERVER, preludeLua, blockLua, probe)).toEqual([
      '45000\t20000',
      'false\ttrue',
      '70000 40000 0\t70000',
      '110000 80000 1 5\t110000',
      '110000 80000 0 5\t110000',
      '55000 25000 0\t55000',
      '5\t200000 40000 0 80000 3 2\t200000',
      '200000 40000 0 80000 3 0\t200000',
      '5\tnil',
      '80000\t80000\t75000',
      '200000 80000 1 80000 3 2 5\t200000',
      '1060000 0 0 1000000 0 0 9007199254740991 1 1000000\t1060000',
      '1150000 0 0 1030000 4 0 5 1 1000000\t1150000',
      '1079999 1069999 0 5\t1079999',
      '1120000 0 0 1060000 0 0 9007199254740991 1 1060000\t1120000',
      'nil',
      NOT_OURS,
    ]);
  });

  it('the arithmetic is exact up to 2^53', () => {
    const probe = `print(format('%d %d %d', divide_up(9007199254740991, 2), divide_down(9007199254740991, 2), usage_that_frees_one(9, 5)))`;
    expect(runLua(SERVER, preludeLua, probe)).toEqual(['4503599627370496 4503599627370495 4']);
  });
});

/** Sets of strategies for which scripts are composed: each alone, and all. */
const sets = [...strategyNames.map((name) => [name]), [...strategyNames]];

describeWith('luac5.1', 'a composed script', () => {
  it.each(sets)('of %s compiles for every step, and sets no global variable', (...names) => {
    for (const step of steps) {
      for (const blocks of [false, true]) {
        const { lua } = composeScript(new Set(names), blocks, step);
        const listing = execFileSync('luac5.1', ['-p', '-l', '-'], { input: lua, encoding: 'utf8' });
        expect(listing).toContain('main <stdin:0');
        expect(listing).not.toContain('SETGLOBAL');
      }
    }
  });
});

describe('composing a script', () => {
  const used = (...names: StrategyName[]): ReadonlySet<StrategyName> => new Set(names);

  it('does not depend on the order of the strategies', () => {
    const one = composeScript(used('token-bucket', 'fixed-window'), false, 'consume');
    expect(composeScript(used('fixed-window', 'token-bucket'), false, 'consume')).toEqual(one);
  });

  it('contains only the strategies that are used and their dependencies, once', () => {
    const names = [
      ...composeScript(used('fixed-window-elastic-expiry', 'fixed-window'), false, 'peek').lua.matchAll(
        /^strategies\['(.+)'\]/gm,
      ),
    ];
    expect(names.map(([, name]) => name)).toEqual(['fixed-window', 'fixed-window-elastic-expiry']);
  });

  it('names scripts by their content', () => {
    const names = steps.flatMap((step) =>
      [false, true].map((blocks) => composeScript(used('fixed-window'), blocks, step).name),
    );
    expect(new Set(names).size).toBe(8);
    for (const name of names) expect(name).toMatch(/^nestjsLimits[0-9a-f]{16}$/);
  });
});
