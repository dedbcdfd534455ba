/** So much that no hit of a benchmark is refused. */
const AMOUNT = 100;
/** Longer than a benchmark lasts: nothing expires meanwhile. */
const PERIOD = 3_600_000;

export const CALENDAR = 'nestjs-limits consume, calendar';
export const MOVING = 'nestjs-limits consume, moving';
export const MAP = 'Map with lazy expiry (for reference)';
export const JOINED = 'nestjs-limits consume, identity joined per hit';
export const HIT = 'nestjs-limits limiter.hit';
export const BARE_STORE = 'hitlimit, its bare store';
export const SLOT = 'nestjs-limits, a slot taken and released';

/**
 * What is compared in memory. Each is opened in a process of its own and answers a maker of fresh stores:
 * `hit(key)` takes one hit of a key, `isAllowed` reads its answer, `close` lets go of timers.
 *
 * Peers are called as their own guards and middlewares call them, without a key prefix where that can be had.
 */
export const subjects = {
  [MAP]: async () => () => {
    const cells = new Map();
    return {
      hit(key) {
        const now = Date.now();
        const cell = cells.get(key);
        if (cell === undefined || now >= cell.end) {
          cells.set(key, { count: 1, end: now + PERIOD });
          return true;
        }
        if (cell.count >= AMOUNT) return false;
        cell.count++;
        return true;
      },
      isAllowed: (allowed) => allowed,
      close() {},
    };
  },

  'nestjs-limits consume': consume('fixed-window'),
  [CALENDAR]: consume('calendar-window', { unit: 'hour', timeZone: 'Europe/Berlin' }),
  'nestjs-limits consume, elastic': consume('fixed-window-elastic-expiry'),
  'nestjs-limits consume, sliding': consume('sliding-window-counter'),
  'nestjs-limits consume, token bucket': consume('token-bucket'),
  [MOVING]: consume('moving-window'),
  // What limiter.hit has to do: its keys contain all identifiers, so that it makes a string of them. The other rows get a ready one.
  [JOINED]: consume('fixed-window', undefined, (key) => `LIMITER/${key}`),
  [SLOT]: async () => {
    const { createLimit, MemoryStorage } = await import('nestjs-limits');
    const limit = createLimit({ id: 'bench', strategy: 'concurrency', amount: AMOUNT, period: PERIOD });
    return () => {
      const storage = new MemoryStorage();
      return {
        hit(key) {
          const result = storage.consume([{ identity: key, limit, cost: 1 }]);
          const { window } = result.outcomes[0];
          storage.settle([{ identity: key, limit, cost: 1, at: result.now, window, actual: 0 }]);
          return result;
        },
        isAllowed: (answer) => answer.allowed,
        close: () => storage.close(),
      };
    };
  },

  [HIT]: async () => {
    const { FixedWindowRateLimiter, MemoryStorage, parse } = await import('nestjs-limits');
    const item = parse(`${AMOUNT}/hour`);
    return () => {
      const storage = new MemoryStorage();
      const limiter = new FixedWindowRateLimiter(storage);
      return {
        hit: (key) => limiter.hit(item, key),
        isAllowed: (allowed) => allowed,
        close: () => storage.close(),
      };
    };
  },

  'rate-limiter-flexible consume': async () => {
    const { RateLimiterMemory } = await import('rate-limiter-flexible');
    return () => {
      const limiter = new RateLimiterMemory({ points: AMOUNT, duration: PERIOD / 1000, keyPrefix: '' });
      return {
        hit: (key) => limiter.consume(key), // rejects when it refuses
        isAllowed: (answer) => answer.remainingPoints >= 0,
        close() {
          // One timer per key.
          for (const { key } of limiter.dump().storage) void limiter.delete(key);
        },
      };
    };
  },

  '@nestjs/throttler increment': async () => {
    const { ThrottlerStorageService } = await import('@nestjs/throttler');
    return () => {
      const storage = new ThrottlerStorageService();
      return {
        hit: (key) => storage.increment(key, PERIOD, AMOUNT, PERIOD, 'default'),
        isAllowed: (answer) => !answer.isBlocked,
        close: () => storage.onApplicationShutdown(),
      };
    };
  },

  'hitlimit checkLimit': hitlimit(({ checkLimit }, config) => ({
    hit: (key) => checkLimit(config, key),
    isAllowed: (answer) => answer.allowed,
  })),
  'hitlimit checkLimitFast': hitlimit(({ checkLimitFast }, config) => ({
    hit: (key) => checkLimitFast(config, key),
    isAllowed: (answer) => answer.allowed,
  })),
  [BARE_STORE]: hitlimit((_limiter, { store }) => ({
    hit: (key) => store.hit(key, PERIOD, AMOUNT),
    isAllowed: (answer) => answer.count <= AMOUNT,
  })),

  'express-rate-limit increment': async () => {
    const { MemoryStore } = await import('express-rate-limit');
    return () => {
      const store = new MemoryStore();
      store.init({ windowMs: PERIOD });
      return {
        hit: (key) => store.increment(key),
        isAllowed: (answer) => answer.totalHits <= AMOUNT,
        close: () => store.shutdown(),
      };
    };
  },
};

export const OURS = 'nestjs-limits consume';

function consume(strategy, calendar, identityOf = (key) => key) {
  return async () => {
    const { createLimit, loadTemporal, MemoryStorage } = await import('nestjs-limits');
    await loadTemporal();
    const limit = createLimit({ id: 'bench', strategy, amount: AMOUNT, period: PERIOD, calendar });
    return () => {
      const storage = new MemoryStorage();
      return {
        hit: (key) => storage.consume([{ identity: identityOf(key), limit, cost: 1 }]),
        isAllowed: (answer) => answer.allowed,
        close: () => storage.close(),
      };
    };
  };
}

function hitlimit(makeSubject) {
  return async () => {
    const entry = import.meta.resolve('@joint-ops/hitlimit');
    const { memoryStore } = await import('@joint-ops/hitlimit');
    // Not exported: what its middleware and its guard are made of.
    const { resolveConfig } = await import(new URL('core/config.js', entry));
    const limiter = await import(new URL('core/limiter.js', entry));
    return () => {
      const store = memoryStore();
      const config = resolveConfig({ limit: AMOUNT, window: PERIOD }, store, (key) => key);
      return { ...makeSubject(limiter, config), close: () => store.shutdown() };
    };
  };
}
