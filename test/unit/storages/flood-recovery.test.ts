import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLimit, MemoryStorage, type Limit } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { rateStrategyNames } from '../../../lib/strategies/strategies.js';
import type { RateStrategyName } from '../../../lib/strategies/strategy.js';
import { calendarOf } from '../../support/strategies.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const AMOUNT = 10;

const once = createLimit({ id: 'once', strategy: 'fixed-window', amount: 1, period: HOUR });

/**
 * Seconds of a cycle at which an honest client hits: at 40 % of the amount, or with the pause that
 * an elastic window requires.
 */
const STEADY = { cycle: 15, seconds: [0] };
const BURSTS = { cycle: 80, seconds: [0, 5, 10, 15] };

/** The maximum that any span of a period may admit. */
const BOUNDS: Record<RateStrategyName, number> = {
  'fixed-window': 2 * AMOUNT,
  'calendar-window': 2 * AMOUNT,
  'fixed-window-elastic-expiry': AMOUNT,
  'moving-window': AMOUNT,
  'sliding-window-counter': 2 * AMOUNT,
  'token-bucket': 2 * AMOUNT,
};

/**
 * Ms after a flood from which no honest client is refused. There is room once the flood has
 * expired: after one window, or two for a sliding counter, which stores two. The state that an
 * identity copies from a shared cell then counts
 * - in a sliding counter until the window advances;
 * - in a token bucket until it has drained: at 40 % of the amount, only the first hit may be
 *   refused;
 * - in an elastic window until the client pauses for a period.
 */
const RECOVERED: Record<RateStrategyName, number> = {
  'fixed-window': MINUTE,
  'calendar-window': MINUTE,
  'fixed-window-elastic-expiry': MINUTE + BURSTS.cycle * SECOND,
  'moving-window': MINUTE,
  'sliding-window-counter': 3 * MINUTE,
  'token-bucket': MINUTE + STEADY.cycle * SECOND,
};

describe('After a flood', () => {
  beforeEach(() => {
    jest.useFakeTimers(); // of the sweep
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('refuses no honest client, with the numbers of a small server', () => {
    const storage = fill(20_000, 'moving-window', []);
    const { lastRefusal } = simulate(storage, {
      honest: names('honest', 16_384),
      greedy: [],
      duration: 12 * MINUTE,
    });
    expect(lastRefusal).toBeGreaterThan(0);
    expect(lastRefusal).toBeLessThan(RECOVERED['moving-window']);
  });

  const sharing = findSharing(180, 40);

  describe.each([
    ['without blocks', []],
    ['with blocks of an hour', [HOUR]],
  ])('%s', (_blocks, block) => {
    it.each(rateStrategyNames)(
      'refuses no honest client by %s, and admits no client beyond the limit',
      (strategy) => {
        const { lastRefusal, mostAdmitted } = simulate(fill(200, strategy, block), {
          honest: sharing.slice(16),
          greedy: sharing.slice(0, 16),
          duration: 2 * HOUR,
        });
        expect(lastRefusal).toBeGreaterThan(0);
        expect(lastRefusal).toBeLessThan(RECOVERED[strategy]);
        expect(mostAdmitted).toBeLessThanOrEqual(BOUNDS[strategy]);
      },
    );
  });
});

interface Filled {
  storage: MemoryStorage;
  clock: ManualClock;
  limit: Limit;
}

/** A storage right after a flood. */
function fill(maxKeys: number, strategy: RateStrategyName, block: number[]): Filled {
  const clock = new ManualClock();
  const storage = new MemoryStorage({ maxKeys, clock });
  const limit = createLimit({
    id: 'flooded',
    strategy,
    amount: AMOUNT,
    period: MINUTE,
    calendar: calendarOf(strategy, 'minute'),
    block,
  });
  for (const identity of names('flood', maxKeys)) storage.consume([{ identity, limit, cost: AMOUNT }]);
  return { storage, clock, limit };
}

interface Traffic {
  honest: readonly string[];
  /** They hit every three seconds, twice as often as allowed. */
  greedy: readonly string[];
  duration: number;
}

function simulate({ storage, clock, limit }: Filled, { honest, greedy, duration }: Traffic) {
  const { cycle, seconds } = limit.strategy === 'fixed-window-elastic-expiry' ? BURSTS : STEADY;
  const hitting = Array.from({ length: cycle }, (_, second) =>
    honest.filter((_, index) => seconds.includes((second + index) % cycle)),
  );
  const meters = new Map([...honest, ...greedy].map((identity) => [identity, new Meter()]));
  const start = clock.now();
  let lastRefusal = 0;
  const hit = (identity: string): boolean => {
    const { allowed } = storage.consume([{ identity, limit, cost: 1 }]);
    if (allowed) meters.get(identity)?.record(clock.now());
    return allowed;
  };
  for (let second = 0; second * SECOND < duration; second++) {
    for (const identity of hitting[second % cycle] ?? []) {
      if (!hit(identity)) lastRefusal = clock.now() - start;
    }
    if (second % 3 === 0) greedy.forEach(hit);
    clock.advance(SECOND);
    jest.advanceTimersByTime(SECOND);
  }
  return { lastRefusal, mostAdmitted: Math.max(...[...meters.values()].map(({ most }) => most)) };
}

/** Measures the most units in any span of a minute. */
class Meter {
  most = 0;
  #recent: number[] = [];

  record(now: number): void {
    while ((this.#recent[0] ?? now) <= now - MINUTE) this.#recent.shift();
    this.#recent.push(now);
    this.most = Math.max(this.most, this.#recent.length);
  }
}

/** Returns identities of so few shared cells, since many clients together use all of them. */
function findSharing(count: number, cells: number): string[] {
  const { storage, limit } = { ...fill(1, 'fixed-window', []), limit: once };
  storage.consume([{ identity: 'has the only place', limit, cost: 1 }]);
  for (const identity of names('cell', cells)) storage.consume([{ identity, limit, cost: 1 }]);
  const found: string[] = [];
  for (let index = 0; found.length < count; index++) {
    const identity = `sharing ${index}`;
    if (!storage.peek([{ identity, limit, cost: 1 }]).allowed) found.push(identity);
  }
  return found;
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
}
