import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConcurrentUpdateError, createLimit, RateLimitError, StorageError, type Hit } from 'nestjs-limits';
import { setTimeout as sleep } from 'node:timers/promises';
import { CircuitBreakerStorage, LateAnswerError } from '../../../lib/resilience/circuit-breaker.storage.js';
import { receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { until } from '../../support/servers/server-process.js';
import { ScriptedStorage } from './scripted.storage.js';

const TIMEOUT = 20;
const limit = createLimit({ id: 'guarded', strategy: 'fixed-window', amount: 100, period: 60_000 });
const batch: Hit[] = [{ identity: 'somebody', limit, cost: 1 }];

let inner: ScriptedStorage;
let guarded: CircuitBreakerStorage;
let told: string[];
let isLost: boolean;
/** The failures of calls. */
let failures: string[];

beforeEach(() => {
  told = [];
  isLost = false;
  failures = [];
  inner = new ScriptedStorage();
  guarded = new CircuitBreakerStorage(
    inner,
    { timeout: TIMEOUT, failureThreshold: 3, failureWindow: 10_000, probeInterval: 20 },
    {
      failed: (error) => {
        failures.push(error.message);
        told.push('failed');
      },
      degraded: (error) => {
        isLost = true;
        told.push(error.message);
      },
      recovered: () => {
        isLost = false;
        told.push('recovered');
      },
    },
  );
});

afterEach(() => guarded.close());

async function failureOf(call: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await call.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StorageError);
  return error as StorageError;
}

async function fail(times: number): Promise<void> {
  inner.does = 'fail';
  for (let time = 0; time < times; time++) await failureOf(guarded.consume(batch));
}

describe('A storage behind a circuit breaker', () => {
  it('returns the answers of the store', async () => {
    expect(await guarded.consume(batch)).toMatchObject({ allowed: true });
    expect((await guarded.peek(batch)).outcomes[0]?.remaining).toBe(99);
    expect(String(guarded)).toBe('ScriptedStorage');
    expect(guarded.capabilities).toEqual(inner.capabilities);
  });

  it('waits for an answer until the timeout, and keeps a promise of a late one', async () => {
    inner.does = 'hang';
    const error = await failureOf(guarded.consume(batch));
    expect(error).toBeInstanceOf(LateAnswerError);
    expect(error.message).toBe('ScriptedStorage has not answered within 20 ms.');
    inner.release();
    expect(await (error as LateAnswerError).answer).toMatchObject({ allowed: true });
  });

  it('stops calling the store after enough failures and a failed probe, and rejects immediately with the reason', async () => {
    await fail(3);
    await until(() => isLost, 'the probe to fail');
    expect(inner.asked).toBe(3);
    const error = await failureOf(guarded.consume(batch));
    expect(error.message).toBe(
      'ScriptedStorage is not called while it fails: ScriptedStorage failed: no power',
    );
    expect(inner.asked).toBe(3);
    expect(told).toEqual(['failed', 'failed', 'failed', 'ScriptedStorage failed: no power']);
    expect(inner.reconnected).toBe(1);
  });

  it('keeps calling the store if the probe succeeds', async () => {
    let probes = 0;
    inner.check = () => {
      probes++;
      return true;
    };
    await fail(9);
    expect([isLost, probes]).toEqual([false, 3]);
    inner.does = 'answer';
    expect(await guarded.consume(batch)).toMatchObject({ allowed: true });
  });

  it('sends one probe at a time, however many calls fail during it', async () => {
    let [probes, end]: [number, (isWell: boolean) => void] = [0, () => undefined];
    inner.check = () => {
      probes++;
      return new Promise<boolean>((resolve) => {
        end = resolve;
      }) as never;
    };
    await fail(9);
    expect([isLost, probes]).toEqual([false, 1]);
    end(false);
    await until(() => isLost, 'the probe to fail');
  });

  it('does not count errors that are not failures of the store', async () => {
    inner.does = 'answer';
    const wrong: Hit[] = [{ identity: 'somebody', limit: undefined as never, cost: 1 }];
    for (let time = 0; time < 9; time++)
      await expect(guarded.consume(wrong)).rejects.not.toBeInstanceOf(RateLimitError);
    expect(isLost).toBe(false);
    expect(told).toEqual([]);
  });

  it('does not count lost races, since the store works', async () => {
    inner.consume = () => {
      throw new ConcurrentUpdateError('lost 16 races in a row');
    };
    for (let time = 0; time < 9; time++)
      await expect(guarded.consume(batch)).rejects.toBeInstanceOf(ConcurrentUpdateError);
    expect(told).toEqual(Array.from({ length: 9 }, () => 'failed'));
  });

  it('recovers without calls when the store is back', async () => {
    await fail(3);
    await until(() => inner.reconnected > 1, 'a probe to fail');
    expect(isLost).toBe(true);
    inner.does = 'answer';
    await until(() => !isLost, 'a probe to find the store');
    expect(told.at(-1)).toBe('recovered');
    expect(await guarded.consume(batch)).toMatchObject({ allowed: true });
    expect(inner.asked).toBe(4);
  });

  it('keeps probing a store that hangs', async () => {
    await fail(3);
    inner.does = 'hang';
    const { reconnected } = inner;
    await until(() => inner.reconnected > reconnected + 1, 'two probes to miss the timeout');
    expect(isLost).toBe(true);
    inner.does = 'answer';
    await until(() => !isLost, 'a probe to find the store');
  });

  it('opens once, however many calls are in flight', async () => {
    inner.does = 'hang';
    const errors = await Promise.all(Array.from({ length: 50 }, () => failureOf(guarded.consume(batch))));
    await until(() => isLost, 'the probe to miss its timeout');
    expect(errors.every((error) => error instanceof LateAnswerError)).toBe(true);
    expect(told.filter((what) => what !== 'failed')).toEqual([
      'ScriptedStorage has not answered within 20 ms.',
    ]);
  });

  it('reports each failed call once, including late ones, and no call that it did not make', async () => {
    inner.does = 'hang';
    await failureOf(guarded.consume(batch));
    inner.release();
    await fail(2);
    await failureOf(guarded.consume(batch));
    expect(failures).toEqual([
      'ScriptedStorage has not answered within 20 ms.',
      'ScriptedStorage failed: no power',
      'ScriptedStorage failed: no power',
    ]);
  });

  it('reports calls that were in flight when the circuit opened', async () => {
    inner.does = 'hang';
    const inFlight = [1, 2].map(() => failureOf(guarded.consume(batch)));
    await fail(3);
    await until(() => isLost, 'the probe to fail');
    await Promise.all(inFlight);
    expect(told).toEqual([
      ...Array(3).fill('failed'),
      'ScriptedStorage failed: no power',
      'failed',
      'failed',
    ]);
  });

  it('passes on a thrown value that is not an error, and does not count it', async () => {
    inner.consume = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- as storages of others may
      throw 'no error';
    };
    for (let time = 0; time < 9; time++) await expect(guarded.consume(batch)).rejects.toBe('no error');
    expect(told).toEqual([]);
  });

  it('does not call the store until a probe succeeds, even if calls in flight succeed', async () => {
    inner.does = 'hang';
    const inFlight = guarded.consume(batch);
    await fail(3);
    inner.does = 'answer';
    inner.release();
    expect(await inFlight).toMatchObject({ allowed: true });
    expect((await failureOf(guarded.consume(batch))).message).toBe(
      'ScriptedStorage is not called while it fails: ScriptedStorage failed: no power',
    );
  });

  it('reports no calls in flight once it is closed, even if they fail', async () => {
    inner.does = 'hang';
    const inFlight = failureOf(guarded.consume(batch));
    await guarded.close();
    expect((await inFlight).message).toBe('ScriptedStorage has not answered within 20 ms.');
    expect(told).toEqual([]);
  });

  it('reports no successful probe once it is closed', async () => {
    await fail(3);
    const probed = new Promise<void>((resolve) => {
      inner.check = () => {
        resolve();
        return sleep(10, true) as never;
      };
    });
    await probed;
    await guarded.close();
    const { reconnected } = inner;
    await sleep(40);
    expect(told.at(-1)).toBe('ScriptedStorage failed: no power');
    expect(inner.reconnected).toBe(reconnected);
  });

  it('leaves no timer when it is closed while the store fails', async () => {
    await fail(3);
    await guarded.close();
    const { reconnected } = inner;
    await sleep(80);
    expect(inner.reconnected).toBe(reconnected);
    expect(told).toHaveLength(4);
  });
});

describe('A call that is not a hit', () => {
  it('waits until the store is back if it is a settlement', async () => {
    const { now, outcomes } = await guarded.consume(batch);
    await guarded.consume(batch);
    await fail(3);
    await guarded.settle(withdrawn(receiptsOf({ allowed: true, now, outcomes })));
    expect(inner.settled).toEqual([]);
    inner.does = 'answer';
    await until(() => !isLost, 'a probe to find the store');
    expect(inner.settled).toHaveLength(1);
    expect((await guarded.peek(batch)).outcomes[0]?.remaining).toBe(99);
  });

  it('stays counted if the store is back and rejects the refund', async () => {
    const taken = receiptsOf(await guarded.consume(batch));
    await fail(3);
    await guarded.settle(withdrawn(taken));
    let asked = 0;
    inner.settle = () => {
      asked++;
      throw new StorageError('gone again');
    };
    inner.does = 'answer';
    await until(() => told.at(-1) === 'failed' && !isLost, 'the settlement to fail');
    expect(asked).toBe(1);
    expect(told.slice(-2)).toEqual(['recovered', 'failed']);
    expect((await guarded.peek(batch)).outcomes[0]?.remaining).toBe(99);
  });

  it('is made by the store, and rejected while the circuit is open', async () => {
    const closing = createLimit({
      id: 'closing',
      strategy: 'fixed-window',
      amount: 100,
      period: 60_000,
      block: [60_000],
    });
    const hit: Hit = { identity: 'somebody', limit: closing, cost: 1 };
    await guarded.block([{ ...hit, duration: 60_000 }]);
    expect((await guarded.peek([hit])).outcomes[0]).toMatchObject({ allowed: false, remaining: 0 });
    await guarded.remove([hit]);
    expect((await guarded.peek([hit])).outcomes[0]).toMatchObject({ allowed: true, remaining: 100 });

    await fail(3);
    const current = { ...hit, window: 'current' as const, actual: 0 };
    for (const call of [guarded.block([]), guarded.remove([]), guarded.settle([current])])
      expect((await failureOf(call)).message).toBe(
        'ScriptedStorage is not called while it fails: ScriptedStorage failed: no power',
      );
  });
});
