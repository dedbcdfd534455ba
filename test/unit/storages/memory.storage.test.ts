import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  loadTemporal,
  MemoryStorage,
  type BatchResult,
  type StrategyName,
  type CreateLimitOptions,
  type Limit,
  type MemoryStorageOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { strategyNames } from '../../../lib/strategies/strategies.js';
import { calendarOf } from '../../support/strategies.js';

await loadTemporal();

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Shared cells of a full storage, per limit. */
const OVERFLOW = 4096;

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});

describe('results', () => {
  it('are synchronous, without a promise', () => {
    const storage = open();
    const limit = once();
    const batch = [{ identity: 'somebody', limit, cost: 1 }];
    const result = storage.consume(batch);
    expect(result).toEqual({
      allowed: true,
      now: clock.now(),
      outcomes: [
        {
          identity: 'somebody',
          limit,
          cost: 1,
          allowed: true,
          remaining: 0,
          resetTime: clock.now() + HOUR,
          retryAfter: 0,
          taken: true,
          window: clock.now() + HOUR,
        },
      ],
    });
    expect(storage.peek(batch).allowed).toBe(false);
    storage.settle(batch.map((given) => ({ ...given, window: 'current', actual: 0 })));
    expect(storage.peek(batch).allowed).toBe(true);
    expect(storage.incr('counter', 60)).toBe(1);
    expect(storage.check()).toBe(true);
    expect(storage.reset()).toBe(1);
    storage.close();
    expect(storage.check()).toBe(false);
  });

  it('of a closed storage are synchronous errors with its name', () => {
    const storage = open();
    storage.close();
    expect(() => hit(storage, once(), 'somebody')).toThrow('MemoryStorage is closed.');
    expect(() => storage.reset()).toThrow('MemoryStorage is closed.');
  });

  it('have the limit objects of the hits', () => {
    const limit = once();
    expect(hit(open(), limit, 'somebody').outcomes[0]?.limit).toBe(limit);
  });
});

describe('options', () => {
  it('have defaults', () => {
    const storage = new MemoryStorage();
    expect(storage.keyPrefix).toBe('nestjs-limits');
    expect(storage.capabilities).toEqual({
      atomicity: 'batch',
      clock: 'local',
      strategies: [
        'fixed-window',
        'fixed-window-elastic-expiry',
        'calendar-window',
        'moving-window',
        'sliding-window-counter',
        'token-bucket',
        'concurrency',
      ],
      maxMovingWindow: 1_000_000,
    });
    expect(hit(storage, once(), 'somebody').now).toBeGreaterThanOrEqual(1_700_000_000_000);
    storage.close();
  });

  it('that are undefined have their defaults', () => {
    const options = { maxKeys: undefined, keyPrefix: undefined, clock: undefined };
    expect(new MemoryStorage(options).keyPrefix).toBe('nestjs-limits');
  });

  it('that are unknown throw with their name', () => {
    expect(() => new MemoryStorage({ maxkeys: 5 } as unknown as MemoryStorageOptions)).toThrow(
      new ConfigurationError(
        'MemoryStorage does not know the option "maxkeys". Known options: clock, keyPrefix, maxKeys.',
      ),
    );
  });

  it.each<[unknown, string]>([
    [0, 'the number 0'],
    [-1, 'the number -1'],
    [1.5, 'the number 1.5'],
    ['x', 'the string "x"'],
    [null, 'null'],
    [[5], 'an array'],
  ])('throw for a maxKeys of %p', (maxKeys, said) => {
    expect(() => new MemoryStorage({ maxKeys } as MemoryStorageOptions)).toThrow(
      new ConfigurationError(`The maxKeys of MemoryStorage must be a whole number, at least 1; got ${said}.`),
    );
  });
});

describe('the sweep', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('starts with the first cell, and ends once the last has expired', () => {
    const storage = open();
    expect(jest.getTimerCount()).toBe(0);
    hit(storage, once(), 'somebody');
    hit(storage, once({ id: 'other' }), 'somebody');
    expect(jest.getTimerCount()).toBe(1);
    clock.advance(HOUR);
    jest.advanceTimersByTime(SECOND);
    expect(jest.getTimerCount()).toBe(0);
    expect(storage.reset()).toBe(0);
  });

  it('restarts when there are cells again', () => {
    const storage = open();
    for (let time = 0; time < 2; time++) {
      hit(storage, once(), 'somebody');
      expect(jest.getTimerCount()).toBe(1);
      clock.advance(HOUR);
      jest.advanceTimersByTime(SECOND);
      expect(jest.getTimerCount()).toBe(0);
    }
  });

  it('ends with reset and with close', () => {
    const storage = open();
    hit(storage, once(), 'somebody');
    storage.reset();
    expect(jest.getTimerCount()).toBe(0);
    hit(storage, once(), 'somebody');
    storage.close();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('drops expired cells and keeps the others', () => {
    const storage = open();
    const minutely = once({ id: 'minutely', period: MINUTE });
    for (let index = 0; index < 100; index++) {
      hit(storage, minutely, `early ${index}`);
      hit(storage, once(), `late ${index}`);
    }
    clock.advance(MINUTE);
    jest.advanceTimersByTime(SECOND);
    expect(storage.reset()).toBe(100);
  });

  it.each([
    'fixed-window',
    'fixed-window-elastic-expiry',
    'moving-window',
    'sliding-window-counter',
    'token-bucket',
  ] as const)('drops cells of the strategy %s once they have no effect, and not before', (strategy) => {
    const storage = open();
    hit(storage, once({ strategy, period: MINUTE }), 'somebody');
    const lasts = strategy === 'sliding-window-counter' ? 2 * MINUTE : MINUTE;
    clock.advance(lasts - 1);
    jest.advanceTimersByTime(SECOND);
    expect(jest.getTimerCount()).toBe(1);
    clock.advance(1);
    jest.advanceTimersByTime(SECOND);
    expect(storage.reset()).toBe(0);
  });

  it('also drops shared cells', () => {
    const storage = open({ maxKeys: 1 });
    hit(storage, once({ id: 'holds the only place', period: 3 * HOUR }), 'somebody');
    hit(storage, once(), 'newcomer');
    hit(storage, once({ id: 'longer', period: 2 * HOUR }), 'newcomer');
    clock.advance(HOUR);
    jest.advanceTimersByTime(SECOND);
    expect(left(storage, once({ id: 'longer', period: 2 * HOUR }), 'newcomer')).toBe(0);
    expect(storage.reset()).toBe(2);
  });

  it('drops blocks once their level has reset, and not before', () => {
    const storage = open();
    const limit = once({ period: MINUTE, block: [MINUTE, HOUR] });
    hit(storage, limit, 'somebody');
    hit(storage, limit, 'somebody');
    clock.advance(MINUTE + HOUR - 1);
    jest.advanceTimersByTime(SECOND);
    expect(jest.getTimerCount()).toBe(1);
    clock.advance(1);
    jest.advanceTimersByTime(SECOND);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('works in small steps, and reaches all cells', () => {
    const storage = open();
    for (let index = 0; index < 25_000; index++) hit(storage, once(), `somebody ${index}`);
    clock.advance(HOUR);
    jest.advanceTimersByTime(SECOND);
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(2 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
    expect(storage.reset()).toBe(0);
  });

  it('visits as few shared cells at a time as others', () => {
    const storage = open({ maxKeys: 1 });
    hit(storage, once({ id: 'holds the only place' }), 'somebody');
    for (let index = 0; index < 20_000; index++) {
      for (const id of ['one', 'two', 'three']) hit(storage, once({ id }), `newcomer ${index}`);
    }
    clock.advance(HOUR);
    jest.advanceTimersByTime(SECOND); // visits 10,000 of some 12,000
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(2 * SECOND);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps a token bucket as long as the smallest of its plans needs it', () => {
    const storage = open();
    const pro = once({ id: 'plan', strategy: 'token-bucket', amount: 100, period: MINUTE });
    const free = once({ id: 'plan', strategy: 'token-bucket', amount: 10, period: MINUTE });
    for (let times = 0; times < 5; times++) hit(storage, free, 'somebody');
    for (let times = 0; times < 5; times++) hit(storage, pro, 'somebody');
    expect(left(storage, free, 'somebody')).toBe(0);
    clock.advance(6 * SECOND); // the larger plan has refilled its ten tokens, the smaller one of its ten
    jest.advanceTimersByTime(SECOND);
    expect(left(storage, pro, 'somebody')).toBe(100);
    expect(left(storage, free, 'somebody')).toBe(1);
  });

  it('starts again after a reset in the middle', () => {
    const storage = open({ maxKeys: 15_000 });
    for (let index = 0; index < 15_000; index++) hit(storage, once(), `somebody ${index}`);
    jest.advanceTimersByTime(SECOND); // it has visited 10,000 of them
    storage.reset();
    clock.advance(HOUR); // the others would have expired
    hit(storage, once(), 'limited');
    jest.advanceTimersByTime(SECOND);
    for (let index = 0; index < 25_000; index++) hit(storage, once(), `flood ${index}`);
    expect(hit(storage, once(), 'limited').allowed).toBe(false);
    expect(storage.reset()).toBeLessThanOrEqual(15_000 + OVERFLOW);
  });

  it('does not keep the process alive', () => {
    jest.useRealTimers();
    const timers = jest.spyOn(globalThis, 'setInterval');
    const storage = open();
    hit(storage, once(), 'somebody');
    const [timer] = timers.mock.results.map(({ value }) => value as NodeJS.Timeout);
    expect(timer?.hasRef()).toBe(false);
    timers.mockRestore();
    storage.close();
  });
});

describe('reset', () => {
  it('returns the number of identities, for any number of limits and blocks', () => {
    const storage = open();
    for (let index = 0; index < 9; index++)
      hit(storage, once({ id: `limit ${index}`, block: [HOUR] }), 'has nine limits');
    hit(storage, once({ id: 'limit 0', block: [HOUR] }), 'has nine limits'); // is blocked
    hit(storage, once(), 'another');
    expect(storage.reset()).toBe(2);
    expect(storage.reset()).toBe(0);
  });

  it('counts identities that share a cell as one, whatever their limits', () => {
    const storage = open({ maxKeys: 1 });
    hit(storage, once(), 'has the only place');
    for (let index = 0; index < 9; index++) hit(storage, once({ id: `limit ${index}` }), 'newcomer');
    expect(storage.reset()).toBe(2);
  });
});

describe('maxKeys', () => {
  it('holds for a flood of new identities, and no limited identity is dropped', () => {
    const storage = open({ maxKeys: 1000 });
    const limit = once();
    hit(storage, limit, 'limited');
    for (let index = 0; index < 50_000; index++) {
      hit(storage, limit, `flood ${index}`);
      if (index % 1000 === 0) expect(hit(storage, limit, 'limited').allowed).toBe(false);
    }
    expect(hit(storage, limit, 'limited').allowed).toBe(false);
    const held = storage.reset();
    expect(held).toBeGreaterThan(1000);
    expect(held).toBeLessThanOrEqual(1000 + OVERFLOW);
  });

  it('drops all expired cells once it is reached, though some newcomers make room for the others', () => {
    const storage = open({ maxKeys: 1000 });
    const limit = once();
    for (let index = 0; index < 1030; index++) hit(storage, limit, `old ${index}`);
    clock.advance(HOUR);
    for (let index = 0; index < 200; index++) hit(storage, limit, `newcomer ${index}`);
    const [held] = storage.cellsByPolicy().values();
    expect(held).toBeLessThanOrEqual(200 + 30); // up to 30 shared cells are left
  });

  it('makes newcomers share cells once it is reached, so that they are limited together', () => {
    const storage = open({ maxKeys: 100 });
    const limit = once();
    let allowed = 0;
    for (let index = 0; index < 20_000; index++) {
      if (hit(storage, limit, `newcomer ${index}`).allowed) allowed++;
    }
    expect(allowed).toBeGreaterThan(100);
    expect(allowed).toBeLessThanOrEqual(100 + OVERFLOW);
    expect(storage.reset()).toBe(allowed);
  });

  it('counts newcomers to an unused limit, even without room', () => {
    const storage = open({ maxKeys: 1 });
    hit(storage, once({ id: 'holds the only place' }), 'somebody');
    expect(hit(storage, once(), 'newcomer').allowed).toBe(true);
    expect(hit(storage, once(), 'newcomer').allowed).toBe(false);
    const blocking = once({ id: 'blocking', block: [2 * HOUR] });
    hit(storage, blocking, 'newcomer');
    hit(storage, blocking, 'newcomer');
    clock.advance(HOUR - 1);
    expect(hit(storage, blocking, 'newcomer').allowed).toBe(false);
  });

  it('counts the cells of all limits', () => {
    const storage = open({ maxKeys: 1000 });
    for (let index = 0; index < 1000; index++)
      hit(storage, once({ id: `limit ${index % 10}` }), `old ${index}`);
    for (let index = 0; index < 20_000; index++) hit(storage, once({ id: 'another' }), `newcomer ${index}`);
    expect(storage.reset()).toBeLessThanOrEqual(1000 + OVERFLOW);
  });

  it('counts blocks too', () => {
    const storage = open({ maxKeys: 1000 });
    const blocking = once({ id: 'blocking', block: [HOUR] });
    for (let index = 0; index < 500; index++) {
      hit(storage, blocking, `blocked ${index}`);
      hit(storage, blocking, `blocked ${index}`);
    }
    for (let index = 0; index < 20_000; index++) hit(storage, once(), `newcomer ${index}`);
    // If the 500 blocks were not counted, 500 newcomers would have their own cells.
    expect(storage.reset()).toBeLessThanOrEqual(1000 + OVERFLOW);
  });

  it.each<[string, (storage: MemoryStorage, identities: readonly string[]) => void]>([
    ['has expired', () => clock.advance(HOUR)],
    [
      'is removed',
      (storage, identities) => storage.remove(identities.map((identity) => ({ identity, limit: once() }))),
    ],
    [
      'is given back',
      (storage, identities) =>
        storage.settle(
          identities.map((identity) => ({ identity, limit: once(), cost: 1, window: 'current', actual: 0 })),
        ),
    ],
    ['a reset forgets', (storage) => void storage.reset()],
  ])('has room again after %s', (_what, forget) => {
    const storage = open({ maxKeys: 1000 });
    const old = Array.from({ length: 1000 }, (_, index) => `old ${index}`);
    for (const identity of old) hit(storage, once(), identity);
    forget(storage, old);
    // If they shared cells, some of a thousand would collide.
    const newcomers = Array.from({ length: 1000 }, (_, index) => `new ${index}`);
    expect(newcomers.filter((identity) => !hit(storage, once(), identity).allowed)).toEqual([]);
    expect(storage.reset()).toBe(1000);
  });

  it('does not reset an identity that shared a cell when there is room again', () => {
    const storage = open({ maxKeys: 1 });
    const limit = once();
    hit(storage, limit, 'first');
    expect(hit(storage, limit, 'shares').allowed).toBe(true);
    expect(hit(storage, limit, 'shares').allowed).toBe(false);
    storage.remove([{ identity: 'first', limit }]);
    expect(hit(storage, limit, 'shares').allowed).toBe(false);
    clock.advance(HOUR);
    expect(hit(storage, limit, 'shares').allowed).toBe(true);
    expect(hit(storage, limit, 'shares').allowed).toBe(false);
  });

  it('counts all hits of a batch, even if the first one takes the last room', () => {
    const strategies = new MemoryStorage().capabilities.strategies;
    for (const strategy of strategies) {
      const storage = open({ maxKeys: 1 });
      const [newcomer, known] = [once(), once({ id: 'known', strategy, amount: 5, period: SECOND })];
      hit(storage, known, 'somebody');
      clock.advance(HOUR);
      const batch = [newcomer, known].map((limit) => ({ identity: 'somebody', limit, cost: limit.amount }));
      expect(storage.consume(batch)).toMatchObject({ allowed: true, outcomes: [{}, { remaining: 0 }] });
      expect([strategy, left(storage, known, 'somebody')]).toEqual([strategy, 0]);
    }
  });

  it('gives an identity of a shared cell its own cell once that has expired and there is room', () => {
    const storage = open({ maxKeys: 1 });
    hit(storage, once({ id: 'other' }), 'first');
    hit(storage, once(), 'newcomer');
    clock.advance(HOUR);
    expect(hit(storage, once(), 'newcomer').allowed).toBe(true);
    expect(hit(storage, once(), 'newcomer').allowed).toBe(false);
    expect(storage.reset()).toBe(1);
  });

  it.each(new MemoryStorage().capabilities.strategies)(
    'copies the state of a shared cell of %s for each identity that leaves it, and counts both newcomers of a batch',
    (strategy) => {
      const storage = open({ maxKeys: 1 });
      const limit = once({ id: 'shared', strategy, amount: 5 });
      hit(storage, once(), 'first');
      const [one, other] = findSharing();
      storage.consume([one, other].map((identity) => ({ identity, limit, cost: 1 })));
      expect([left(storage, limit, one), left(storage, limit, other)]).toEqual([3, 3]);
      storage.remove([{ identity: 'first', limit: once() }]);
      hit(storage, limit, one); // takes the only place
      expect([left(storage, limit, one), left(storage, limit, other)]).toEqual([2, 3]);
      hit(storage, limit, other);
      hit(storage, limit, other);
      expect([left(storage, limit, one), left(storage, limit, other)]).toEqual([2, 1]);
    },
  );

  it('blocks no identity after refusals that are counted in a shared cell', () => {
    const storage = new MemoryStorage({ clock, maxKeys: 1 });
    const limit = once({ id: 'patient', amount: 1, block: [5 * HOUR], blockAfter: 2 });
    hit(storage, once({ id: 'other' }), 'fills the room');
    const waits = [1, 2, 3, 4].map(() => hit(storage, limit, 'newcomer').outcomes[0]?.retryAfter);
    expect(waits).toEqual([0, limit.period, limit.period, limit.period]);
  });

  it('ends a shared block with the window, and does not copy it when there is room', () => {
    const storage = open({ maxKeys: 1 });
    const limit = once({ id: 'blocking', amount: 1, block: [5 * HOUR] });
    hit(storage, once({ period: 5 * HOUR }), 'first');
    hit(storage, limit, 'newcomer');
    expect(hit(storage, limit, 'newcomer').outcomes[0]?.retryAfter).toBe(HOUR);
    storage.remove([{ identity: 'first', limit: once() }]);
    expect(hit(storage, limit, 'newcomer').outcomes[0]?.retryAfter).toBe(HOUR);
    clock.advance(HOUR);
    expect(hit(storage, limit, 'newcomer').allowed).toBe(true);
    expect(hit(storage, limit, 'newcomer').outcomes[0]?.retryAfter).toBe(5 * HOUR);
  });

  it('supports refunds and removals of shared cells', () => {
    const storage = open({ maxKeys: 1 });
    const limit = once({ amount: 3 });
    hit(storage, limit, 'first');
    hit(storage, limit, 'shares');
    hit(storage, limit, 'shares');
    storage.settle([{ identity: 'shares', limit, cost: 1, window: 'current', actual: 0 }]);
    expect(left(storage, limit, 'shares')).toBe(2);
    storage.remove([{ identity: 'shares', limit }]);
    expect(left(storage, limit, 'shares')).toBe(3);
    expect(left(storage, limit, 'first')).toBe(2);
  });

  it('starts empty after a reset', () => {
    const storage = open({ maxKeys: 5 });
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 5; index++) hit(storage, once(), `somebody ${index}`);
      expect(storage.reset()).toBe(5);
    }
    for (let index = 0; index < 20_000; index++) hit(storage, once(), `flood ${index}`);
    expect(storage.reset()).toBeLessThanOrEqual(5 + OVERFLOW);
  });
});

function open(options: MemoryStorageOptions = {}): MemoryStorage {
  return new MemoryStorage({ clock, ...options });
}

function once(options: Partial<CreateLimitOptions> = {}): Limit {
  const { strategy = 'fixed-window' } = options;
  return createLimit({
    id: 'once',
    strategy,
    amount: 1,
    period: HOUR,
    calendar: calendarOf(strategy, 'hour'),
    ...options,
  });
}

function hit(storage: MemoryStorage, limit: Limit, identity: string): BatchResult {
  return storage.consume([{ identity, limit, cost: 1 }]);
}

function left(storage: MemoryStorage, limit: Limit, identity: string): number | undefined {
  return storage.peek([{ identity, limit, cost: 0 }]).outcomes[0]?.remaining;
}

/** Returns two identities with the same shared cell. */
function findSharing(): [string, string] {
  const storage = open({ maxKeys: 1 });
  hit(storage, once(), 'has the only place');
  hit(storage, once(), 'one');
  let index = 0;
  while (left(storage, once(), `other ${index}`) === 1) index++;
  return ['one', `other ${index}`];
}

describe('Two limits with one id', () => {
  const limitBy = (strategy: StrategyName): Limit =>
    createLimit({ id: 'logins', strategy, amount: 3, period: 60_000 });

  it.each(strategyNames.filter((strategy) => strategy !== 'fixed-window' && strategy !== 'calendar-window'))(
    'and the strategies "fixed-window" and "%s" are a ConfigurationError',
    (strategy) => {
      const storage = new MemoryStorage();
      storage.consume([{ identity: 'ann', limit: limitBy('fixed-window'), cost: 1 }]);
      const limit = limitBy(strategy);
      const hits = [{ identity: 'ann', limit, cost: 1 }];
      const message =
        `Two limits have the id "logins" and the strategies "fixed-window" and "${strategy}". ` +
        'Limits with one id share a count, so give each strategy an id of its own.';
      expect(() => storage.consume(hits)).toThrow(new ConfigurationError(message));
      expect(() => storage.peek(hits)).toThrow(message);
      expect(() => storage.remove(hits)).toThrow(message);
    },
  );
});
