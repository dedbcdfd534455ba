import { describe, expect, it, jest } from '@jest/globals';
import {
  createLimit,
  type BatchResult,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type Settlement,
} from 'nestjs-limits';
import { consumeBatch, settleBatch } from '../../../lib/storages/apply-batch.js';
import { consumeInParts, joinResults, partition } from '../../../lib/core/batch-parts.js';
import { receiptsOf } from '../../../lib/core/contract.js';
import { ReferenceCells } from '../../../lib/testing/conformance/reference-cells.js';

const NOW = 1_704_067_200_000;
const HOUR = 3_600_000;

describe('partition', () => {
  it('groups a batch by part, in order', () => {
    const batch = ['a', 'b', 'a', 'c', 'b'].map((identity, index) =>
      hit(identity, hourly({ id: `${index}` })),
    );
    const parts = partition(batch, ({ identity }) => identity);
    expect(parts.map((part) => part.map(({ identity, limit }) => identity + limit.id))).toEqual([
      ['a0', 'a2'],
      ['b1', 'b4'],
      ['c3'],
    ]);
  });

  it('returns no parts for an empty batch', () => {
    expect(partition([], () => 'part')).toEqual([]);
  });
});

describe('consumeInParts', () => {
  it('calls every part in parallel', async () => {
    const asked: string[] = [];
    const answers: (() => void)[] = [];
    const batch = [hit('a'), hit('b')];
    const result = consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) =>
        new Promise((resolve) => {
          asked.push(part.map(identityOf).join());
          answers.push(() => resolve(consumeBatch(new ReferenceCells(), part, NOW)));
        }),
      nothing,
    );
    expect(asked).toEqual(['a', 'b']);
    for (const answer of answers.reverse()) answer();
    expect((await result).outcomes.map(identityOf)).toEqual(['a', 'b']);
  });

  it('throws the first failure, even if the refund fails too', async () => {
    const batch = [hit('a'), hit('b')];
    const result = consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) => {
        if (part[0]?.identity === 'b') throw new Error('b is down');
        return consumeBatch(new ReferenceCells(), part, NOW);
      },
      () => Promise.reject(new Error('a is down by now')),
    );
    await expect(result).rejects.toThrow(/^b is down$/);
  });

  it('returns outcomes in the order of the batch, with the latest time', async () => {
    const batch = ['b', 'a', 'b', 'a'].map((identity, index) =>
      hit(identity, hourly({ id: `${index}` }), index),
    );
    const cells = new ReferenceCells();
    const settle = jest.fn<(settlements: readonly Settlement[]) => void>();
    const result = await consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) => consumeBatch(cells, part, part[0]?.identity === 'a' ? NOW + 5 : NOW),
      settle,
    );
    expect(result).toMatchObject({ allowed: true, now: NOW + 5 });
    expect(result.outcomes.map(({ identity, limit, remaining }) => [identity, limit.id, remaining])).toEqual([
      ['b', '0', 3],
      ['a', '1', 2],
      ['b', '2', 1],
      ['a', '3', 0],
    ]);
    expect(settle).not.toHaveBeenCalled();
  });

  it('has receipts with the time of each part, by the clock that decided it', async () => {
    const batch = [hit('a'), hit('b')];
    const identity = createLimit({ id: 'tokens', strategy: 'token-bucket', amount: 10, period: 1000 });
    const tokens = batch.map(({ identity: of }): Hit => ({ identity: of, limit: identity, cost: 4 }));
    const cells = new ReferenceCells();
    const readings: Readonly<Record<string, number>> = { a: NOW, b: NOW + 200 };
    const result = await consumeInParts(
      tokens,
      partition(tokens, identityOf),
      (part) => consumeBatch(cells, part, readings[part[0]?.identity ?? ''] ?? NaN),
      nothing,
    );
    expect(result.now).toBe(NOW + 200);
    const receipts = receiptsOf(result);
    expect(receipts).toEqual([
      { identity: 'a', limit: identity, cost: 4, at: NOW, window: NOW },
      { identity: 'b', limit: identity, cost: 4, at: NOW + 200, window: NOW + 200 },
    ]);
    expect(result.outcomes.map((outcome) => Object.hasOwn(outcome, 'takenAt'))).toEqual([true, false]);
  });

  it('has no time of hits that were not taken', async () => {
    const never = hourly({ id: 'never', amount: 0 });
    const batch = [hit('a'), hit('b', never)];
    const cells = new ReferenceCells();
    const { outcomes } = await consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) => consumeBatch(cells, part, part[0]?.identity === 'a' ? NOW : NOW + 5),
      nothing,
    );
    expect(outcomes.map((outcome) => Object.hasOwn(outcome, 'takenAt'))).toEqual([false, false]);
  });

  it('refunds the other parts when one refuses, and reports their outcomes so', async () => {
    const never = hourly({ id: 'never', amount: 0 });
    const batch = [hit('a'), hit('b', never), hit('c', hourly({ id: 'two' }), 2)];
    const cells = new ReferenceCells();
    consumeBatch(cells, [hit('c', hourly({ id: 'two' }))], NOW - 1000);
    const settle = jest.fn((settlements: readonly Settlement[]) => settleBatch(cells, settlements, NOW));
    const result = await consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) => consumeBatch(cells, part, NOW),
      settle,
    );
    expect(settle.mock.calls).toEqual([
      [
        [
          { identity: 'a', limit: hourly(), cost: 1, at: NOW, window: NOW + HOUR, actual: 0 },
          {
            identity: 'c',
            limit: hourly({ id: 'two' }),
            cost: 2,
            at: NOW,
            window: NOW - 1000 + HOUR,
            actual: 0,
          },
        ],
      ],
    ]);
    expect(result).toEqual({
      allowed: false,
      now: NOW,
      outcomes: [
        { ...hit('a'), ...untaken, allowed: true, remaining: 3, resetTime: NOW },
        {
          ...hit('b', never),
          ...untaken,
          allowed: false,
          remaining: 0,
          resetTime: NOW,
          retryAfter: Infinity,
        },
        {
          ...hit('c', hourly({ id: 'two' }), 2),
          ...untaken,
          allowed: true,
          remaining: 2,
          resetTime: NOW - 1000 + HOUR,
        },
      ],
    });
  });

  it('ignores refusals of shadow limits in a part', async () => {
    const shadow = hourly({ id: 'shadow', amount: 0, mode: 'shadow' });
    const batch = [hit('a'), hit('b', shadow)];
    const cells = new ReferenceCells();
    const result = await consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) => consumeBatch(cells, part, NOW),
      nothing,
    );
    expect(result.allowed).toBe(true);
    expect(result.outcomes.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 2],
      [false, 0],
    ]);
  });

  it('refunds the other parts when one fails, and throws its error', async () => {
    const failure = new Error('b is down');
    const batch = [hit('a'), hit('b'), hit('c')];
    const settle = jest.fn<(settlements: readonly Settlement[]) => void>();
    const result = consumeInParts(
      batch,
      partition(batch, identityOf),
      async (part): Promise<BatchResult> => {
        if (part[0]?.identity === 'b') throw failure;
        return consumeBatch(new ReferenceCells(), part, NOW);
      },
      settle,
    );
    await expect(result).rejects.toBe(failure);
    expect(settle.mock.calls.map(([settlements]) => settlements.map(identityOf))).toEqual([['a', 'c']]);
  });

  it('waits for slow parts before it refunds, so that nothing stays taken', async () => {
    let answer: () => void = nothing;
    const batch = [hit('fails'), hit('slow')];
    const settle = jest.fn<(settlements: readonly Settlement[]) => void>();
    const result = consumeInParts(
      batch,
      partition(batch, identityOf),
      (part) =>
        part[0]?.identity === 'fails'
          ? Promise.reject(new Error('down'))
          : new Promise((resolve) => {
              answer = () => resolve(consumeBatch(new ReferenceCells(), part, NOW));
            }),
      settle,
    );
    await new Promise(setImmediate);
    expect(settle).not.toHaveBeenCalled();
    answer();
    await expect(result).rejects.toThrow('down');
    expect(settle.mock.calls.map(([settlements]) => settlements.map(identityOf))).toEqual([['slow']]);
  });

  it('converts a synchronous throw of a part to a rejection', async () => {
    const result = consumeInParts(
      [hit('a')],
      [[hit('a')]],
      () => {
        throw new Error('at once');
      },
      nothing,
    );
    await expect(result).rejects.toThrow('at once');
  });
});

describe('joinResults', () => {
  it('is allowed only if every part is allowed', () => {
    const cells = new ReferenceCells();
    const never = hourly({ id: 'never', amount: 0 });
    const parts = [[hit('a')], [hit('b', never)]];
    const results = parts.map((part) => consumeBatch(cells, part, NOW));
    expect(joinResults(parts.flat(), parts, results).allowed).toBe(false);
    expect(joinResults(parts.slice(0, 1).flat(), parts.slice(0, 1), results.slice(0, 1)).allowed).toBe(true);
  });

  it('distinguishes limits with the same id of several identities', () => {
    const cells = new ReferenceCells();
    const [a, b] = [hit('a', hourly(), 1), hit('b', hourly(), 2)];
    const parts = [[a], [b]];
    const results = parts.map((part) => consumeBatch(cells, part, NOW));
    const { outcomes } = joinResults([b, a], parts, results);
    expect(outcomes.map(({ identity, remaining }) => [identity, remaining])).toEqual([
      ['b', 1],
      ['a', 2],
    ]);
  });
});

/** The expected outcome of a hit that took nothing. */
const untaken = { retryAfter: 0, taken: false, window: undefined };

function hourly(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 3, period: HOUR, ...options });
}

function hit(identity: string, limit = hourly(), cost = 1): Hit {
  return { identity, limit, cost };
}

function identityOf({ identity }: { identity: string }): string {
  return identity;
}

function nothing(): void {
  // the result of a refund does not matter here
}
