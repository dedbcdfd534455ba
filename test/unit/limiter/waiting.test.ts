import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import {
  createLimit,
  FixedWindowRateLimiter,
  MemoryStorage,
  StorageError,
  TokenBucketRateLimiter,
  WaitTimeoutError,
  type BatchResult,
  type Hit,
  type Limit,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { queueOf } from '../../../lib/limiter/fair-queue.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';
import { until } from '../../support/http-exchange.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';

/** A storage that counts its calls. */
class CountingStorage extends MemoryStorage {
  asked = 0;
  peeked = 0;

  override peek(...args: Parameters<MemoryStorage['peek']>): ReturnType<MemoryStorage['peek']> {
    this.peeked++;
    return super.peek(...args);
  }

  override consume(...args: Parameters<MemoryStorage['consume']>): ReturnType<MemoryStorage['consume']> {
    this.asked++;
    return super.consume(...args);
  }
}

describe('Waiting for a limit', () => {
  it('takes an allowed hit immediately', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const decision = await limiter.waitFor('2/minute', ['a'], { cost: 2 });
    expect(decision).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('takes a hit as soon as it is allowed', async () => {
    const storage = new CountingStorage();
    const limiter = new FixedWindowRateLimiter(storage);
    await limiter.hit('1/second', 'a');
    expect(await limiter.waitFor('1/second', ['a'])).toMatchObject({ allowed: true, remaining: 0 });
    // The hit, a refusal, and a success. A timer that fires up to a ms early adds a refusal.
    expect([3, 4]).toContain(storage.asked);
  });

  it('serves callers for the same limit in order, and calls the storage for the first only', async () => {
    const storage = new CountingStorage();
    const limiter = new TokenBucketRateLimiter(storage, { burst: 1 });
    const served: number[] = [];
    const waiting = Array.from({ length: 6 }, async (_, index) => {
      await limiter.waitFor('1 per 20 ms', ['a']);
      served.push(index);
    });
    await Promise.all(waiting);
    expect(served).toEqual([0, 1, 2, 3, 4, 5]);
    expect(storage.asked).toBeLessThanOrEqual(6 + 2 * 5); // timers may fire up to a ms early
  });

  it('does not delay callers for other limits', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/hour', 'a');
    const controller = new AbortController();
    const blocked = limiter.waitFor('1/hour', ['a'], { signal: controller.signal });
    expect((await limiter.waitFor('1/hour', ['b'])).allowed).toBe(true);
    const reason = new Error('no longer wanted');
    controller.abort(reason);
    await expect(blocked).rejects.toBe(reason);
  });

  it('throws as soon as maxWait is known to be too short, and takes nothing', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('2/hour', ['a'], { cost: 1 });
    const call = limiter.waitFor('2/hour', ['a'], { cost: 2, maxWait: 60_000 });
    await expect(call).rejects.toThrow(WaitTimeoutError);
    await expect(call).rejects.toThrow(
      /^A rate limit would have kept this waiting for longer than its maxWait of 60000 ms: another \d+ ms\.$/,
    );
    expect(limiter.getWindowStats('2/hour', 'a')).toMatchObject({ remaining: 1 });
  });

  it('throws when callers ahead take longer than maxWait, and these are still served', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/second', 'a');
    const first = limiter.waitFor('1/second', ['a']);
    await immediate();
    const second = limiter.waitFor('1/second', ['a'], { maxWait: 50 });
    await expect(second).rejects.toThrow(
      'A rate limit would have kept this waiting for longer than its maxWait of 50 ms, behind others who wait.',
    );
    expect((await first).allowed).toBe(true);
  });

  it('stops when its signal is aborted, before and while it waits, and the next caller follows', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/second', 'a');
    const aborted = AbortSignal.abort(new Error('never wanted'));
    await expect(limiter.waitFor('1/second', ['a'], { signal: aborted })).rejects.toThrow('never wanted');

    const controller = new AbortController();
    const first = limiter.waitFor('1/second', ['a'], { signal: controller.signal });
    const second = limiter.waitFor('1/second', ['a']);
    const third = limiter.waitFor('1/second', ['a'], { signal: controller.signal });
    const given = Promise.allSettled([first, third]);
    controller.abort(new Error('no longer wanted'));
    expect((await second).allowed).toBe(true);
    expect((await given).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('throws the reason of its signal, before, behind others and while it sleeps', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/hour', 'a');
    const reasons = [new Error('gone'), new Error('gone too'), 'not even an error'];
    const never = limiter.waitFor('1/hour', ['a'], { signal: AbortSignal.abort(reasons[0]) });
    await expect(never).rejects.toBe(reasons[0]);
    const [ahead, behind] = [new AbortController(), new AbortController()];
    const sleeps = limiter.waitFor('1/hour', ['a'], { signal: ahead.signal });
    const waits = limiter.waitFor('1/hour', ['a'], { signal: behind.signal });
    await new Promise(setImmediate);
    behind.abort(reasons[1]);
    await expect(waits).rejects.toBe(reasons[1]);
    ahead.abort(reasons[2]);
    await expect(sleeps).rejects.toBe(reasons[2]);
  });

  it.each<[unknown, string]>([
    [NaN, 'the number NaN'],
    [-1, 'the number -1'],
    [-Infinity, 'the number -Infinity'],
    ['5s', 'the string "5s"'],
    [null, 'null'],
  ])('throws for a maxWait of %p, and takes nothing', async (maxWait, said) => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const call = limiter.waitFor('1/hour', ['a'], { maxWait: maxWait as number });
    await expect(call).rejects.toThrow(
      new RangeError(`The maxWait of a hit must be a number of ms from 0; got ${said}.`),
    );
    expect(limiter.test('1/hour', 'a')).toBe(true);
  });

  it.each([undefined, 0, 0.5, Infinity])('takes an allowed hit with a maxWait of %p', async (maxWait) => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    expect((await limiter.waitFor('1/hour', ['a'], { maxWait })).allowed).toBe(true);
  });

  it('never waits for a cost above the limit', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await expect(limiter.waitFor('2/hour', ['a'], { cost: 3 })).rejects.toThrow(
      'The cost is more than the limit ever allows, so that no wait would help. Take a smaller cost or a larger burst.',
    );
  });
});

describe('A line', () => {
  /** Advances a clock step by step, so that every caller due has asked before the next step. */
  async function pass(clock: ManualClock, milliseconds: number, step = 100): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += step) {
      clock.advance(step);
      await immediate();
    }
  }

  it('lets those pass that can, in order, and refuses the others at once', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    const passed: [caller: number, ms: number][] = [];
    const refused: [caller: number, ms: number][] = [];
    const begun = clock.now();
    const callers = Array.from({ length: 500 }, (_, caller) =>
      limiter.waitFor('1/second', ['a'], { maxWait: 2500 }).then(
        () => passed.push([caller, clock.now() - begun]),
        () => refused.push([caller, clock.now() - begun]),
      ),
    );
    await immediate();
    expect(refused).toEqual(Array.from({ length: 497 }, (_, index) => [index + 3, 0]));
    await pass(clock, 2500);
    await Promise.all(callers);
    expect(passed).toEqual([
      [0, 0],
      [1, 1000],
      [2, 2000],
    ]);
  });

  it('takes as many callers as its maxQueue, and names the number in the error', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    await limiter.hit('1/second', 'a');
    const waiting = [1, 2].map(() => limiter.waitFor('1/second', ['a'], { maxQueue: 2 }));
    await immediate();
    const refused = limiter.waitFor('1/second', ['a'], { maxQueue: 2 });
    await expect(refused).rejects.toThrow(
      new WaitTimeoutError('2 calls wait for this rate limit already, and its maxQueue is 2.', undefined),
    );
    await expect(refused).rejects.toMatchObject({ code: 'ERR_RATE_LIMIT_WAIT', retryAfter: undefined });
    expect((await limiter.waitFor('1/second', ['b'], { maxQueue: 1 })).allowed).toBe(true);
    await pass(clock, 2000);
    expect((await Promise.all(waiting)).map(({ allowed }) => allowed)).toEqual([true, true]);
  });

  it.each([0, -1, 1.5, NaN, '2'])('rejects a maxQueue of %p', async (maxQueue) => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const options = { maxQueue: maxQueue as number, maxWait: 1 };
    const error = /^The maxQueue of a hit must be a whole number from 1; got /;
    await expect(limiter.waitFor('1/second', ['a'], options)).rejects.toThrow(error);
    await expect(limiter.acquire('1 concurrent', ['a'], options)).rejects.toThrow(error);
  });

  it('is joined by a caller that would be allowed before the first of it', async () => {
    const clock = new ManualClock();
    const limiter = new TokenBucketRateLimiter(new MemoryStorage({ clock }), { burst: 5 });
    await limiter.hit('5/second', ['a'], { cost: 5 });
    const order: string[] = [];
    const large = limiter.waitFor('5/second', ['a'], { cost: 5 }).then(() => order.push('large'));
    await pass(clock, 600);
    const small = limiter.waitFor('5/second', ['a']).then(() => order.push('small'));
    await pass(clock, 600);
    await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
  });

  it('is passed by callers for other identities and limits', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    await limiter.hit('1/second', 'a');
    const waiting = limiter.waitFor('1/second', ['a']);
    await immediate();
    expect((await limiter.waitFor('1/second', ['b'])).allowed).toBe(true);
    expect((await limiter.waitFor('2/minute', ['a'])).allowed).toBe(true);
    await pass(clock, 1000);
    expect((await waiting).allowed).toBe(true);
  });

  it('is left for that of another limit, once that one refuses for longest', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    const limiter = new FixedWindowRateLimiter(storage);
    const limits = '1/second; 3 per 10 seconds';
    const times: number[] = [];
    const begun = clock.now();
    const callers = [1, 2, 3, 4].map(async () => {
      await limiter.waitFor(limits, ['a']);
      times.push(clock.now() - begun);
    });
    await immediate();
    await pass(clock, 2500);
    expect([...queueOf(storage).waiting()]).toEqual([['items', 1]]);
    await pass(clock, 7500);
    await Promise.all(callers);
    expect(times).toEqual([0, 1000, 2000, 10_000]);
    expect(queueOf(storage).isEmpty).toBe(true);
  });

  it('holds callers of limits with one count and several amounts apart', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    const limitOf = (amount: number): Limit =>
      createLimit({ id: 'shared', strategy: 'fixed-window', amount, period: 1000 });
    const wait = (amount: number): Promise<BatchResult> => {
      const batch: Hit[] = [{ identity: 'a', limit: limitOf(amount), cost: 1 }];
      const consume = (): BatchResult => storage.consume(batch);
      const wait = { maxWait: 5000, maxQueue: 9 };
      return queueOf(storage).wait({ batch, storage, consume, waitOf: () => wait, signal: undefined });
    };
    await wait(2);
    await wait(2);
    const small = wait(2);
    await immediate();
    expect((await wait(9)).outcomes[0]?.remaining).toBe(6);
    await pass(clock, 1000);
    expect((await small).allowed).toBe(true);
  });

  it('moves on when the first of it gives up', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    await limiter.hit('2/second', ['a'], { cost: 1 });
    const controller = new AbortController();
    const first = limiter.waitFor('2/second', ['a'], { cost: 2, signal: controller.signal });
    await immediate();
    const second = limiter.waitFor('2/second', ['a']);
    await immediate();
    controller.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect((await second).remaining).toBe(0);
  });

  it('is woken when units are returned, settled or cleared in this process', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    const returns: ((decision: Awaited<ReturnType<typeof limiter.consume>>) => unknown)[] = [
      (decision) => limiter.refund(decision),
      (decision) => limiter.settle(decision, 0),
      () => limiter.refund('1/hour', 'a'),
      () => limiter.clear('1/hour', 'a'),
    ];
    let decision = await limiter.consume('1/hour', 'a');
    for (const giveBack of returns) {
      const waiting = limiter.waitFor('1/hour', ['a']);
      await immediate();
      await giveBack(decision);
      decision = await waiting;
      expect(decision.allowed).toBe(true);
    }
  });

  it('does not miss a release while the first of it asks', async () => {
    const clock = new ManualClock();
    const storage = new SlowStorage({ clock });
    const limiter = new FixedWindowRateLimiter(storage);
    const held = await limiter.acquire('1 concurrent', ['a']);
    const waiting = limiter.acquire('1 concurrent', ['a'], { maxWait: 60_000 });
    await immediate();
    storage.isSlow = true;
    clock.advance(250);
    await storage.untilAsked();
    await held.release();
    storage.answer();
    await storage.untilAsked();
    storage.answer();
    expect((await waiting).allowed).toBe(true);
  });

  it('for slots asks again every 100 to 250 ms, since another process may release one', async () => {
    const clock = new ManualClock();
    const server = new MapCasServer();
    const [one, other] = [1, 2].map(
      () => new FixedWindowRateLimiter(new MapCasStorage(server, { clock })),
    ) as [FixedWindowRateLimiter, FixedWindowRateLimiter];
    const held = await other.acquire('1 concurrent', ['a']);
    const waiting = one.acquire('1 concurrent', ['a'], { maxWait: 60_000 });
    await until(() => !queueOf(one.storage).isEmpty);
    const before = server.count('read');
    clock.advance(99);
    await immediate();
    expect(server.count('read')).toBe(before);
    clock.advance(151);
    await until(() => server.count('read') === before + 1);
    await held.release();
    clock.advance(250);
    expect((await waiting).allowed).toBe(true);
  });

  it('refuses no caller for its length while its first asks, who may find more units than it needs', async () => {
    const storage = new SlowStorage({ clock: new ManualClock() });
    const limiter = new TokenBucketRateLimiter(storage, { burst: 5 });
    await limiter.hit('1/second', 'a');
    const controller = new AbortController();
    const large = limiter.waitFor('1/second', ['a'], { cost: 5, signal: controller.signal });
    await immediate();
    const small = [1, 2, 3].map(() => limiter.waitFor('1/second', ['a']));
    await immediate();
    storage.isSlow = true;
    controller.abort(new Error('gone'));
    await expect(large).rejects.toThrow('gone');
    await storage.untilAsked();
    small.push(limiter.waitFor('1/second', ['a'], { maxWait: 500 }));
    await immediate();
    storage.isSlow = false;
    storage.answer();
    expect((await Promise.all(small)).map(({ remaining }) => remaining)).toEqual([3, 2, 1, 0]);
  });

  it('gives back what was taken for a caller that has left before', async () => {
    const storage = new SlowStorage({ clock: new ManualClock() });
    const limiter = new FixedWindowRateLimiter(storage);
    for (const limits of ['3/minute', '3/hour; 3 concurrent']) {
      storage.isSlow = true;
      const controller = new AbortController();
      const options = { signal: controller.signal, maxWait: 1000 };
      const call =
        limits === '3/minute'
          ? limiter.waitFor(limits, ['a'], options)
          : limiter.acquire(limits, ['a'], options);
      await storage.untilAsked();
      controller.abort(new Error('gone'));
      storage.answer();
      await expect(call).rejects.toThrow('gone');
      storage.isSlow = false;
      expect((await limiter.peek(limits, 'a')).limits.every(({ remaining }) => remaining === 3)).toBe(true);
    }
  });

  it('fails with the storage, one caller after the other', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    const limiter = new FixedWindowRateLimiter(storage);
    await limiter.hit('1/second', 'a');
    const waiting = Promise.allSettled([1, 2, 3].map(() => limiter.waitFor('1/second', ['a'])));
    await immediate();
    storage.close();
    await pass(clock, 1000);
    const failed = { status: 'rejected', reason: expect.any(StorageError) };
    expect(await waiting).toEqual([failed, failed, failed]);
    expect(queueOf(storage).isEmpty).toBe(true);
  });

  it('lets no caller wait after it has closed', async () => {
    const storage = new MemoryStorage({ clock: new ManualClock() });
    const limiter = new FixedWindowRateLimiter(storage);
    await limiter.hit('1/second', 'a');
    const waiting = [1, 2].map(() => limiter.waitFor('1/second', ['a']));
    const held = await limiter.acquire('1 concurrent', ['a']);
    const slot = limiter.acquire('1 concurrent', ['a'], { maxWait: 60_000 });
    await immediate();
    queueOf(storage).close();
    waiting.push(limiter.waitFor('1/second', ['a']));
    for (const call of waiting)
      await expect(call).rejects.toThrow('The limiter is shutting down, so no call waits any more.');
    expect((await slot).allowed).toBe(false);
    expect((await limiter.waitFor('1/second', ['b'])).allowed).toBe(true);
    await held.release();
  });

  it('takes at most 10,000 callers in a process, over all limits', async () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    const controllers: AbortController[] = [];
    const waitAs = (identity: string): Promise<unknown> => {
      const controller = new AbortController();
      controllers.push(controller);
      return limiter.waitFor('1/hour', [identity], { signal: controller.signal });
    };
    for (let index = 0; index < 100; index++) await limiter.hit('1/hour', String(index));
    const waiting = Array.from({ length: 10_000 }, (_, index) => waitAs(String(index % 100)));
    const ended = Promise.allSettled(waiting);
    await immediate();
    await expect(waitAs('0')).rejects.toThrow('10000 calls wait in this process already, which is the most.');
    for (const controller of controllers) controller.abort();
    expect((await ended).every(({ status }) => status === 'rejected')).toBe(true);
    await limiter.hit('1/second', 'a');
    const next = limiter.waitFor('1/second', ['a']);
    await immediate();
    await pass(clock, 1000);
    await next;
  });

  it('asks a store that caches refusals only once they end', async () => {
    const clock = new ManualClock();
    const store = new CountingStorage({ clock });
    const limiter = new FixedWindowRateLimiter(new DenialCacheStorage(store, () => clock.now()));
    await limiter.hit('1 per 5 seconds', 'a');
    const waiting = limiter.waitFor('1 per 5 seconds', ['a']);
    await pass(clock, 4900);
    expect(store.asked).toBe(2); // the hit, and the refusal
    const refused = limiter.waitFor('1 per 5 seconds', ['a'], { maxWait: 1000 });
    await expect(refused).rejects.toThrow(WaitTimeoutError);
    await pass(clock, 100);
    expect((await waiting).allowed).toBe(true);
    expect(store.asked).toBe(3);
  });
});

describe('A full line', () => {
  it('costs a store that caches refusals one call per two seconds, however many callers it refuses', async () => {
    const clock = new ManualClock();
    const store = new CountingStorage({ clock });
    const limiter = new FixedWindowRateLimiter(new DenialCacheStorage(store, () => clock.now()));
    await limiter.hit('1/minute', 'a');
    const waiting = limiter.waitFor('1/minute', ['a'], { maxQueue: 1 });
    await immediate();
    clock.advance(2000);
    store.peeked = 0;
    for (let caller = 0; caller < 100; caller++)
      await expect(limiter.waitFor('1/minute', ['a'], { maxQueue: 1 })).rejects.toThrow('maxQueue is 1');
    expect(store.peeked).toBe(1);
    clock.advance(58_000);
    expect((await waiting).allowed).toBe(true);
  });
});

/** A memory storage whose answers wait. */
class SlowStorage extends MemoryStorage {
  isSlow = false;
  #asked = 0;
  answer: () => void = () => undefined;

  // @ts-expect-error: a promise, as of a server
  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    const result = super.consume(batch);
    if (!this.isSlow) return result;
    this.#asked++;
    await new Promise<void>((resolve) => {
      this.answer = resolve;
    });
    return result;
  }

  /** Waits for the next call. */
  async untilAsked(): Promise<void> {
    while (this.#asked === 0) await immediate();
    this.#asked = 0;
  }
}
