import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  ConcurrentUpdateError,
  createLimit,
  StorageError,
  type BatchResult,
  type Hit,
  type Limit,
} from 'nestjs-limits';
import { setImmediate } from 'node:timers/promises';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { strictest, type OnError, receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { ScriptedStorage } from './scripted.storage.js';

const limit = createLimit({ id: 'ten', strategy: 'fixed-window', amount: 10, period: 60_000 });

let inner: ScriptedStorage;
beforeEach(() => {
  inner = new ScriptedStorage();
});

function degrading(onError: OnError, instances = 1): FallbackStorage {
  return new FallbackStorage(inner, { onError, instances });
}

function hits(of: Limit = limit, cost = 1): Hit[] {
  return [{ identity: 'somebody', limit: of, cost }];
}

async function admitted(storage: FallbackStorage, times: number, of?: Limit): Promise<number> {
  let count = 0;
  for (let time = 0; time < times; time++) if ((await storage.consume(hits(of))).allowed) count++;
  return count;
}

describe('The local counts from an outage', () => {
  it('are unblocked and removed together with those of the store', async () => {
    const closing = createLimit({ ...limit, id: 'closing', amount: 1, burst: undefined, block: [3_600_000] });
    const storage = degrading('fallback');
    const refused = async (): Promise<boolean> => {
      inner.does = 'fail';
      const { allowed } = await storage.consume(hits(closing));
      inner.does = 'answer';
      return !allowed;
    };
    expect([await refused(), await refused()]).toEqual([false, true]);
    await storage.block([{ identity: 'somebody', limit: closing, duration: 0 }]);
    await storage.remove(hits(closing));
    expect(await refused()).toBe(false);
    expect(await refused()).toBe(true);
    await storage.reset();
    expect(await refused()).toBe(false);
  });
});

describe('The local counts of a limit that blocks after several refusals', () => {
  it('block after as many refusals as in the store', async () => {
    const patient = createLimit({
      ...limit,
      id: 'patient',
      amount: 1,
      burst: undefined,
      block: [3_600_000],
      blockAfter: 2,
    });
    const storage = degrading('fallback');
    inner.does = 'fail';
    const waits: number[] = [];
    for (let time = 0; time < 3; time++)
      waits.push((await storage.consume(hits(patient))).outcomes[0]?.retryAfter ?? NaN);
    expect([waits[0], (waits[1] ?? NaN) <= 60_000, waits[2]]).toEqual([0, true, 3_600_000]);
  });
});

describe('While the store works, a storage with fallback', () => {
  it('decides calls that the store could not decide for lack of a turn', async () => {
    inner.consume = () => {
      throw new ConcurrentUpdateError('lost 16 races in a row');
    };
    expect(await degrading('allow').consume(hits())).toMatchObject({ allowed: true, degraded: 'allow' });
    expect(await degrading('fallback').consume(hits())).toMatchObject({ degraded: 'fallback' });
    expect(() => degrading('deny').consume(hits())).toThrow(ConcurrentUpdateError);
  });

  it('returns the answers of the store', async () => {
    const storage = degrading('allow');
    const result = await storage.consume(hits());
    expect(result).toMatchObject({ allowed: true, outcomes: [{ remaining: 9 }] });
    expect(result.degraded).toBeUndefined();
    await storage.settle(withdrawn(receiptsOf(result)));
    expect((await storage.peek(hits())).outcomes[0]?.remaining).toBe(10);
  });
});

describe('While the store fails, a storage with fallback', () => {
  beforeEach(() => {
    inner.does = 'fail';
  });

  it('allows everything with the option allow', async () => {
    const storage = degrading('allow');
    expect(await admitted(storage, 50)).toBe(50);
    expect(await storage.consume(hits())).toMatchObject({
      degraded: 'allow',
      outcomes: [{ window: undefined }],
    });
  });

  it('fails with the option deny', async () => {
    const storage = degrading('deny');
    await expect(async () => storage.consume(hits())).rejects.toThrow(StorageError);
    await expect(async () => storage.peek(hits())).rejects.toThrow(StorageError);
  });

  it('counts in this process with the option fallback', async () => {
    const storage = degrading('fallback');
    expect(await admitted(storage, 50)).toBe(10);
    expect(await storage.consume(hits())).toMatchObject({ allowed: false, degraded: 'fallback' });
    expect((await storage.peek(hits())).allowed).toBe(false);
  });

  it('counts its share of a limit that several processes share, and at least one unit', async () => {
    expect(await admitted(degrading('fallback', 4), 50)).toBe(2);
    expect(await admitted(degrading('fallback', 100), 50)).toBe(1);
    const identity = createLimit({
      id: 'b',
      strategy: 'token-bucket',
      amount: 10,
      period: 3_600_000,
      burst: 40,
    });
    expect(await admitted(degrading('fallback', 4), 50, identity)).toBe(10);
    const none = createLimit({ id: 'none', strategy: 'fixed-window', amount: 0, period: 60_000 });
    expect(await admitted(degrading('fallback', 4), 50, none)).toBe(0);
  });

  it('uses the option of the batch', async () => {
    const storage = degrading('deny');
    expect(await storage.consume(hits(), 'allow')).toMatchObject({ allowed: true, degraded: 'allow' });
    expect(await storage.consume(hits(), 'fallback')).toMatchObject({ allowed: true, degraded: 'fallback' });
  });

  it('refunds local hits locally', async () => {
    const storage = degrading('fallback');
    const result = await storage.consume(hits(limit, 4));
    await storage.settle(withdrawn(receiptsOf(result)));
    expect((await storage.peek(hits())).outcomes[0]?.remaining).toBe(10);
    expect(inner.settled).toEqual([]);
  });

  it('keeps its counts when the store recovers, so that a share lasts for a window', async () => {
    const storage = degrading('fallback');
    expect(await admitted(storage, 50)).toBe(10);
    inner.does = 'answer';
    expect(await admitted(storage, 50)).toBe(10);
    inner.does = 'fail';
    expect(await admitted(storage, 50)).toBe(0);
  });

  it('passes on errors that are not failures of the store', async () => {
    inner.does = 'answer';
    await expect(async () =>
      degrading('allow').consume([{ identity: 'a', limit: null as never, cost: 1 }]),
    ).rejects.toThrow();
  });
});

describe('A late answer', () => {
  async function late(onError: OnError, amount = 1): Promise<BatchResult | undefined> {
    const guarded = new CircuitBreakerStorage(
      inner,
      { timeout: 5, failureThreshold: 1000, failureWindow: 10_000, probeInterval: 1000 },
      { degraded: () => undefined, recovered: () => undefined },
    );
    const storage = new FallbackStorage(guarded, { onError, instances: 1 });
    const one = createLimit({ id: 'one', strategy: 'fixed-window', amount, period: 60_000 });
    inner.does = 'hang';
    let result: BatchResult | undefined;
    for (let time = 0; time < 2; time++)
      result = await Promise.resolve(storage.consume(hits(one))).catch(() => undefined);
    inner.does = 'answer';
    inner.release();
    await setImmediate();
    await setImmediate();
    return result;
  }

  it('stays counted if the request was allowed', async () => {
    expect(await late('allow')).toMatchObject({ allowed: true });
    expect(inner.settled).toEqual([]);
  });

  it('stays counted if the refund fails', async () => {
    let asked = 0;
    inner.settle = () => {
      asked++;
      throw new StorageError('gone again');
    };
    expect(await late('deny')).toBeUndefined();
    expect(asked).toBe(1);
    const one = createLimit({ id: 'one', strategy: 'fixed-window', amount: 1, period: 60_000 });
    expect(inner.peek(hits(one)).allowed).toBe(false);
  });

  it('is refunded if the request failed', async () => {
    expect(await late('deny')).toBeUndefined();
    expect(inner.settled).toHaveLength(1); // of the two, the store itself has refused the second
  });

  it('is refunded if the request was refused here', async () => {
    expect(await late('fallback', 1)).toMatchObject({ allowed: false });
    expect(inner.settled).toHaveLength(0); // the first was admitted here and there, the second refused here and there
    expect(
      inner.peek(hits(createLimit({ id: 'one', strategy: 'fixed-window', amount: 1, period: 60_000 })))
        .allowed,
    ).toBe(false);
  });
});

describe('The strictest of several modes', () => {
  it.each<[OnError[], OnError | undefined]>([
    [[], undefined],
    [['allow'], 'allow'],
    [['allow', 'fallback'], 'fallback'],
    [['fallback', 'deny', 'allow'], 'deny'],
  ])('%j is %s', (modes, expected) => {
    expect(strictest(modes)).toBe(expected);
  });
});

describe('Over several processes that have lost the store', () => {
  it('at most 1.1 × the limit is admitted, if the limit is at least ten times their number', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 10, max: 200 }),
        (instances, perInstance) => {
          const amount = instances * perInstance + (perInstance % instances);
          const spread = createLimit({ id: 'spread', strategy: 'fixed-window', amount, period: 60_000 });
          inner.does = 'fail';
          const processes = Array.from({ length: instances }, () => degrading('fallback', instances));
          let count = 0;
          for (let hit = 0; hit < 2 * amount; hit++) {
            const storage = processes[hit % instances] as FallbackStorage;
            if ((storage.consume(hits(spread)) as BatchResult).allowed) count++;
          }
          expect(count).toBeLessThanOrEqual(1.1 * amount);
          expect(count).toBeGreaterThan(0.9 * amount);
        },
      ),
    );
  });
});

describe('A cell that is removed from a storage with fallback', () => {
  it('is removed from the store and from the local counts', async () => {
    const storage = degrading('fallback');
    const cell = { identity: 'somebody', limit };
    expect(await admitted(storage, 4)).toBe(4);
    inner.does = 'fail';
    expect(await admitted(storage, 11)).toBe(10);
    await storage.remove([cell]);
    expect(await admitted(storage, 11)).toBe(10);
    inner.does = 'answer';
    expect((await storage.peek(hits())).outcomes[0]?.remaining).toBe(10);
  });
});
