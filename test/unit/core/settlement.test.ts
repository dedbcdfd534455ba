import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  createLimit,
  Decision,
  MemoryStorage,
  StorageError,
  type BatchResult,
  type CreateLimitOptions,
  type Limit,
  type Outcome,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { onReturn } from '../../../lib/core/returned-units.js';
import { currentReceipt, settleOutcomes, type SettledOutcomes } from '../../../lib/core/settlement.js';
import { HeldStorage } from '../../support/held.storage.js';

const MINUTE = 60_000;

let clock: ManualClock;
let memory: MemoryStorage;

beforeEach(() => {
  clock = new ManualClock();
  memory = new MemoryStorage({ clock });
});

function limitOf(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'tokens', strategy: 'fixed-window', amount: 100, period: MINUTE, ...options });
}

const tokens = limitOf();

function take(cost: number, ...limits: Limit[]): BatchResult {
  const batch = (limits.length > 0 ? limits : [tokens]).map((limit) => ({ identity: 'acme', limit, cost }));
  return memory.consume(batch);
}

function used(limit = tokens): number {
  return limit.burst - (memory.peek([{ identity: 'acme', limit, cost: 0 }]).outcomes[0]?.remaining ?? NaN);
}

/** Settles every outcome of a result. */
function settle(result: BatchResult, actual: number, by: 'hand' | 'outcome' = 'hand'): SettledOutcomes {
  return settleOutcomes(memory, result, changesOf(result, actual), by) as SettledOutcomes;
}

function changesOf(result: BatchResult, actual: number): { outcome: Outcome; actual: number }[] {
  return result.outcomes.map((outcome) => ({ outcome, actual }));
}

function never(): never {
  throw new Error('There is no outcome.');
}

function costs(result: BatchResult): (number | undefined)[] {
  return result.outcomes.map((outcome) => currentReceipt(result, outcome)?.cost);
}

describe('The shared costs of outcomes', () => {
  it('are those of the hits until they are settled', () => {
    const result = take(10);
    expect(costs(result)).toEqual([10]);
  });

  it('are settled to less, to more, and again', () => {
    const result = take(10);
    for (const actual of [4, 60, 0, 130, 25]) {
      const { outcomes, now } = settle(result, actual);
      expect(now).toBe(clock.now());
      expect([...outcomes.values()]).toMatchObject([
        { cost: actual, remaining: Math.max(0, 100 - actual), taken: true, allowed: true },
      ]);
      expect([used(), ...costs(result)]).toEqual([Math.min(100, actual), actual]);
    }
  });

  it('are charged for a hit that has reserved nothing', () => {
    const result = take(0);
    settle(result, 7);
    expect(used()).toBe(7);
    settle(result, 2);
    expect(used()).toBe(2);
  });

  it('are settled from the cost of the settlement before', () => {
    const result = take(10);
    const first = settle(result, 4);
    const after = { ...result, outcomes: [...first.outcomes.values()] };
    settle(after, 30);
    settle(result, 6);
    expect([used(), ...costs(result), ...costs(after)]).toEqual([6, 6, 6]);
  });

  it('are shared by a second decision on the same outcomes, as events and the guard have them', () => {
    const result = take(10);
    const [one, other] = [new Decision(result), new Decision({ ...result })];
    settle(result, 3);
    expect([one.receipts, other.receipts]).toMatchObject([[{ cost: 3 }], [{ cost: 3 }]]);
    settle({ ...result }, 3);
    expect(used()).toBe(3);
  });

  it('have the receipts of both phases of a decision', () => {
    const [early, late] = [limitOf({ id: 'early' }), limitOf({ id: 'late' })];
    const first = take(2, early);
    const second = take(5, late);
    const decision = new Decision(second, new Decision(first));
    settle(first, 1);
    expect(decision.receipts.map(({ limit, cost }) => [limit.id, cost])).toEqual([
      ['early', 1],
      ['late', 5],
    ]);
  });

  it.each<[string, () => BatchResult]>([
    ['was refused', () => take(101)],
    ['was refused in shadow', () => take(101, limitOf({ mode: 'shadow' }))],
    ['was only looked at', () => memory.peek([{ identity: 'acme', limit: tokens, cost: 1 }])],
  ])('do not exist for a hit that %s, which calls no storage', (_what, make) => {
    const held = new HeldStorage(memory);
    const result = make();
    expect(costs(result)).toEqual([undefined]);
    const settled = settleOutcomes(held, result, changesOf(result, 5), 'hand') as SettledOutcomes;
    expect([settled.outcomes.size, held.calls.length, used()]).toEqual([0, 0, 0]);
  });

  it('are settled synchronously on a synchronous storage', () => {
    const result = take(10);
    expect(settleOutcomes(memory, result, changesOf(result, 1), 'hand')).not.toBeInstanceOf(Promise);
    expect(settleOutcomes(memory, result, [], 'hand')).not.toBeInstanceOf(Promise);
  });

  it('throw the errors of a synchronous storage', () => {
    const result = take(10);
    memory.close();
    expect(() => settle(result, 1)).toThrow('MemoryStorage is closed.');
  });
});

describe('A settlement to less', () => {
  it('announces the cells that have units again, and no other', () => {
    const [lower, same, higher] = ['lower', 'same', 'higher'].map((id) => limitOf({ id }));
    const result = take(10, lower as Limit, same as Limit, higher as Limit);
    const announced: unknown[] = [];
    onReturn(memory, (cells) => announced.push(cells?.map(({ identity, limit }) => [identity, limit.id])));
    const settleTo = (...actual: number[]): void => {
      const changes = result.outcomes.map((outcome, index) => ({ outcome, actual: actual[index] ?? 0 }));
      void settleOutcomes(memory, result, changes, 'hand');
    };
    settleTo(4, 10, 12);
    expect(announced).toEqual([[['acme', 'lower']]]);
    settleTo(4, 10, 15);
    expect(announced).toHaveLength(1);
    settleTo(3, 9, 15);
    expect(announced.slice(1)).toEqual([
      [
        ['acme', 'lower'],
        ['acme', 'same'],
      ],
    ]);
  });
});

describe('A settlement to a very high cost', () => {
  it('is for any limit but a token bucket, whose level could not be counted', () => {
    const year = 365 * 86_400_000;
    const window = limitOf({ period: year });
    const result = take(1, window);
    settle(result, 2 ** 50);
    expect(used(window)).toBe(100);
    const bucket = take(1, limitOf({ id: 'bucket', period: year, strategy: 'token-bucket' }));
    expect(() => settle(bucket, 2 ** 50)).toThrow(RangeError);
  });
});

describe('A settlement by hand', () => {
  it('wins over a later settlement by outcome', () => {
    const result = take(10);
    settle(result, 3, 'hand');
    settle(result, 0, 'outcome');
    expect(used()).toBe(3);
  });

  it('wins over an earlier settlement by outcome', () => {
    const result = take(10);
    settle(result, 0, 'outcome');
    settle(result, 3, 'hand');
    expect(used()).toBe(3);
  });

  it('to 0 is not repeated by one to 0 by outcome: the hit is refunded once', () => {
    const result = take(10);
    take(20);
    settle(result, 0, 'hand');
    settle(result, 0, 'outcome');
    settle(result, 0, 'hand');
    expect(used()).toBe(20);
  });

  it('of one limit does not affect settlements of the others by outcome', () => {
    const other = limitOf({ id: 'other' });
    const result = take(10, tokens, other);
    void settleOutcomes(memory, result, changesOf(result, 3).slice(0, 1), 'hand');
    settle(result, 0, 'outcome');
    expect([used(), used(other)]).toEqual([3, 0]);
  });

  it('wins while the settlement by outcome is in flight, and while it waits itself', async () => {
    const held = new HeldStorage(memory);
    const result = take(10);
    const byOutcome = settleOutcomes(held, result, changesOf(result, 0), 'outcome');
    const byHand = settleOutcomes(held, result, changesOf(result, 4), 'hand');
    const late = settleOutcomes(held, result, changesOf(result, 0), 'outcome');
    expect(held.actual).toEqual([[0]]);
    held.calls[0]?.answer();
    await byOutcome;
    await nextTurn();
    expect(held.actual).toEqual([[0], [4]]);
    held.calls[1]?.answer();
    await Promise.all([byHand, late]);
    expect([held.calls.length, used()]).toEqual([2, 4]);
  });
});

describe('Concurrent settlements of one outcome', () => {
  it('run one after another, in the order of the calls', async () => {
    const held = new HeldStorage(memory);
    const result = take(10);
    const all = [30, 5, 0, 8].map((actual) =>
      settleOutcomes(held, result, changesOf(result, actual), 'hand'),
    );
    for (let call = 0; call < 4; call++) {
      await nextTurn();
      expect(held.calls).toHaveLength(call + 1);
      held.calls[call]?.answer();
    }
    for (const one of all) await one;
    expect(
      held.calls.map(({ settlements }) => settlements.map(({ cost, actual }) => [cost, actual])),
    ).toEqual([[[10, 30]], [[30, 5]], [[5, 0]], [[0, 8]]]);
    expect(used()).toBe(8);
  });

  it('do not wait for settlements of other outcomes', async () => {
    const held = new HeldStorage(memory);
    const [one, other] = [take(10), take(20)];
    const all = [one, other].map((result) => settleOutcomes(held, result, changesOf(result, 1), 'hand'));
    expect(held.calls).toHaveLength(2);
    for (const call of held.calls) call.answer();
    for (const one of all) await one;
    expect(used()).toBe(2);
  });

  it('leave no turn behind: the next one on a synchronous storage is synchronous', async () => {
    const held = new HeldStorage(memory);
    const result = take(10);
    const all = [4, 5].map((actual) => settleOutcomes(held, result, changesOf(result, actual), 'hand'));
    held.calls[0]?.answer();
    await nextTurn();
    held.calls[1]?.answer();
    for (const one of all) await one;
    await nextTurn();
    expect(settle(result, 6)).not.toBeInstanceOf(Promise);
    expect(used()).toBe(6);
  });

  it('wait for the last one of every outcome that they settle', async () => {
    const held = new HeldStorage(memory);
    const other = limitOf({ id: 'other' });
    const result = take(10, tokens, other);
    const [first = never(), second = never()] = changesOf(result, 3);
    const all = [[first], [second], [first, second]].map((changes) =>
      settleOutcomes(held, result, changes, 'hand'),
    );
    held.calls[1]?.answer();
    await nextTurn();
    expect(held.actual).toEqual([[3], [3]]);
    held.calls[0]?.answer();
    await nextTurn();
    expect(held.actual).toEqual([[3], [3], [3, 3]]);
    held.calls[2]?.answer();
    for (const one of all) await one;
  });

  it('continue after one that failed', async () => {
    const held = new HeldStorage(memory);
    const result = take(10);
    const lost = settleOutcomes(held, result, changesOf(result, 3), 'hand') as Promise<unknown>;
    const next = settleOutcomes(held, result, changesOf(result, 2), 'hand');
    held.calls[0]?.lose(false);
    await expect(lost).rejects.toThrow('no answer');
    await nextTurn();
    held.calls[1]?.answer();
    await next;
    expect(held.calls[1]?.settlements).toMatchObject([{ cost: 3, actual: 2 }]);
  });
});

describe('After a settlement whose answer was lost', () => {
  async function lose(result: BatchResult, actual: number, arrived: boolean): Promise<void> {
    const held = new HeldStorage(memory);
    const lost = settleOutcomes(held, result, changesOf(result, actual), 'hand') as Promise<unknown>;
    held.calls[0]?.lose(arrived);
    await expect(lost).rejects.toThrow(StorageError);
  }

  it.each<[reserved: number, actual: number, charged: number]>([
    [10, 4, 4],
    [10, 30, 10],
    [10, 0, 0],
  ])('from %i to %i, the recorded cost is %i', async (reserved, actual, charged) => {
    const result = take(reserved);
    await lose(result, actual, false);
    expect(costs(result)).toEqual([charged]);
  });

  it.each<[actual: number, arrived: boolean, next: number, counted: number]>([
    [4, true, 2, 2],
    [4, false, 2, 8],
    [30, true, 2, 22],
    [30, false, 2, 2],
    [0, true, 0, 0],
    [0, false, 0, 10],
  ])(
    'to %i (arrived: %p), one to %i leaves %i counted, never less than it should',
    async (actual, arrived, next, counted) => {
      const result = take(10);
      await lose(result, actual, arrived);
      settle(result, next);
      expect(used()).toBe(counted);
      expect(counted).toBeGreaterThanOrEqual(next);
    },
  );
});

describe('Settlements by the time of the hit', () => {
  it('change nothing once the window has ended, nor in a later one', () => {
    const result = take(10);
    clock.advance(MINUTE);
    take(20);
    settle(result, 50);
    settle(result, 0);
    expect(used()).toBe(20);
  });

  it('settle a hit of the previous window in that window', () => {
    const limit = limitOf({ strategy: 'sliding-window-counter', amount: 1000 });
    const result = take(800, limit);
    clock.advance(MINUTE);
    take(100, limit);
    settle(result, 10);
    expect(used(limit)).toBe(110);
  });

  it('use the window that a settlement has charged', () => {
    const result = take(0);
    clock.advance(MINUTE / 2);
    settle(result, 5);
    clock.advance(MINUTE - 1);
    settle(result, 2);
    expect(used()).toBe(2);
    clock.advance(1);
    settle(result, 9);
    expect(used()).toBe(0);
  });
});
