import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createLimit, MemoryStorage, type BatchResult, type Hit, type Limit } from 'nestjs-limits';
import { LeasingStorage, type LeasingStorageOptions } from '../../lib/resilience/leasing.storage.js';
import { WrappedStorage } from '../../lib/core/wrapped.storage.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { levelByDefinition, mostAboveRefill, type Attempt } from '../support/strategy-model.js';

/** Several processes with leases of permits from one store. */

/** Replies in later turns of the event loop, as a server does. */
class RemoteStorage extends WrappedStorage {
  calls = 0;

  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    this.calls++;
    await Promise.resolve();
    const result = await this.inner.consume(batch);
    await Promise.resolve();
    return result;
  }
}

/** Concurrent hits, and the ms since the previous ones. */
interface Moment {
  readonly wait: number;
  readonly hits: readonly { readonly process: number; readonly cost: number }[];
}

interface Traffic {
  readonly limit: Limit;
  readonly options: LeasingStorageOptions;
  readonly moments: readonly Moment[];
  /** Maximum permits of a process. */
  readonly held: number;
}

function traffic(
  strategy: 'fixed-window' | 'token-bucket',
  costs: fc.Arbitrary<number>,
): fc.Arbitrary<Traffic> {
  return fc
    .record({
      amount: fc.integer({ min: 2, max: 60 }),
      burst: fc.integer({ min: 2, max: 60 }),
      period: fc.integer({ min: 50, max: 2000 }),
      size: fc.oneof(fc.integer({ min: 2, max: 12 }), fc.constant('auto' as const)),
      maxError: fc.double({ min: 0.05, max: 1, noNaN: true }),
      instances: fc.integer({ min: 1, max: 4 }),
      moments: fc.array(
        fc.record({
          wait: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 3000 })),
          hits: fc.array(fc.record({ process: fc.nat({ max: 3 }), cost: costs }), { maxLength: 12 }),
        }),
        { maxLength: 40 },
      ),
    })
    .map(({ amount, burst, period, size, maxError, instances, moments }) => {
      const limit = createLimit({
        id: 'leased',
        strategy,
        amount,
        period,
        burst: strategy === 'token-bucket' ? burst : undefined,
      });
      const cap = 1 + Math.floor((maxError * Math.min(amount, limit.burst)) / instances);
      return {
        limit,
        options: { size, maxError, instances },
        moments: moments.map(({ wait, hits }) => ({
          wait,
          hits: hits.map(({ process, cost }) => ({ process: process % instances, cost })),
        })),
        held: Math.min(cap, size === 'auto' ? cap : size) - 1,
      };
    });
}

interface Decided extends Attempt {
  readonly window: number | undefined;
}

async function play({ limit, options, moments }: Traffic): Promise<Decided[]> {
  const clock = new ManualClock();
  const remote = new RemoteStorage(new MemoryStorage({ clock }));
  const processes = Array.from(
    { length: options.instances },
    () => new LeasingStorage(remote, options, () => clock.now()),
  );
  const history: Decided[] = [];
  for (const { wait, hits } of moments) {
    clock.advance(wait);
    const decided = await Promise.all(
      hits.map(async ({ process, cost }) => {
        const storage = processes[process] as LeasingStorage;
        const { allowed, outcomes } = await storage.consume([{ identity: 'somebody', limit, cost }]);
        return { at: clock.now(), cost, taken: allowed, window: outcomes[0]?.window };
      }),
    );
    history.push(...decided);
  }
  return history;
}

/**
 * Compares each refusal with all hits of its instant, since these are decided in no particular
 * order.
 */
function refusals(history: readonly Decided[]): Decided[] {
  return history.filter(({ taken }) => !taken);
}

const ONES = fc.constant(1);
const SEVERAL = fc.oneof(
  { weight: 3, arbitrary: ONES },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
);

describe('With leases of several processes,', () => {
  it('a fixed window admits no more than its amount, and admits all of it', async () => {
    await fc.assert(
      fc.asyncProperty(traffic('fixed-window', SEVERAL), async (scene) => {
        const taken = (await play(scene)).filter((one) => one.taken);
        for (const { at, window } of taken) {
          expect(at).toBeLessThan(window ?? 0);
          const together = taken.filter((one) => one.window === window);
          expect(together.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(scene.limit.amount);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a fixed window refuses a hit too early by no more than the other processes hold', async () => {
    await fc.assert(
      fc.asyncProperty(traffic('fixed-window', ONES), async (scene) => {
        const history = await play(scene);
        const { amount, period } = scene.limit;
        const others = (scene.options.instances - 1) * scene.held;
        for (const { at } of refusals(history)) {
          const open = history.filter(
            ({ taken, window = 0 }) => taken && at < window && window <= at + period,
          );
          expect(open.length).toBeGreaterThanOrEqual(amount - others);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a token bucket admits no more above its bound than all processes hold', async () => {
    await fc.assert(
      fc.asyncProperty(traffic('token-bucket', SEVERAL), async (scene) => {
        const { limit, options, held } = scene;
        const most = mostAboveRefill(await play(scene), limit);
        expect(most).toBeLessThanOrEqual((limit.burst + options.instances * held) * limit.period);
      }),
      { numRuns: 500 },
    );
  });

  it('a token bucket refuses a hit too early by no more than all processes hold', async () => {
    await fc.assert(
      fc.asyncProperty(traffic('token-bucket', ONES), async (scene) => {
        const { limit, options, held } = scene;
        const history = await play(scene);
        for (const { at } of refusals(history)) {
          const before = history.filter((one) => one.at <= at);
          const free = limit.burst * limit.period - levelByDefinition(before, limit, at);
          expect(free).toBeLessThan((1 + options.instances * held) * limit.period);
        }
      }),
      { numRuns: 500 },
    );
  });
});
