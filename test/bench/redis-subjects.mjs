/** So much that no hit of a benchmark is refused; the most that a moving window takes. */
const AMOUNT = 1_000_000;
/** The most slots that a limit may have. */
const MAX_SLOTS = 100_000;
const HOUR = 3_600_000;
/** All longer than a benchmark lasts: nothing expires meanwhile. */
const WINDOWS = [
  { name: 'hour', period: HOUR },
  { name: 'day', period: 24 * HOUR },
  { name: 'week', period: 7 * 24 * HOUR },
];

/** How many decisions are under way at a time, as in a server that is busy. */
export const IN_FLIGHT = 100;
/** How many of them are timed at a time. */
export const DECISIONS = 20_000;
/** Where each waits for the one before. */
const ONE_AT_A_TIME = { inFlight: 1, decisions: 3000 };

export const OURS = 'nestjs-limits, fixed window';
export const CALENDAR = 'nestjs-limits, calendar window';
export const MOVING = 'nestjs-limits, moving window';
export const SLOT = 'nestjs-limits, a slot taken and released';
export const NEST_LAB = '@nest-lab/throttler-storage-redis';
/** The row of a subject that waits for each decision before the next. */
export const oneAtATime = (name) => `${name}, one at a time`;

/**
 * What is compared on Redis. Each is opened in a process of its own with a server's URI and a number of limits, and answers
 * `decide(key)`, which decides one request under all of the limits, and `isAllowed`, which reads its answer.
 *
 * Peers decide several limits as they are used: throttlers and middlewares one after the other, a union all at once.
 */
export const subjects = {
  'bare INCR (for reference)': {
    async open(uri, limits) {
      const client = await connect(uri);
      const [first, ...others] = WINDOWS.slice(0, limits).map(({ name }) => name);
      const increment = (name, key) => client.incr(`${name}:${key}`);
      return {
        decide:
          others.length === 0
            ? (key) => increment(first, key)
            : (key) => Promise.all([first, ...others].map((name) => increment(name, key))),
        isAllowed: () => true,
      };
    },
  },

  [OURS]: { open: ours('FixedWindowRateLimiter') },
  [CALENDAR]: { open: ours('CalendarWindowRateLimiter') },
  'nestjs-limits, token bucket': { open: ours('TokenBucketRateLimiter') },
  'nestjs-limits, sliding window counter': { open: ours('SlidingWindowCounterRateLimiter') },
  [MOVING]: { open: ours('MovingWindowRateLimiter') },
  [SLOT]: { open: slots },
  [oneAtATime(OURS)]: { open: ours('FixedWindowRateLimiter'), ...ONE_AT_A_TIME },

  [NEST_LAB]: { open: nestLab },
  [oneAtATime(NEST_LAB)]: { open: nestLab, ...ONE_AT_A_TIME },

  'rate-limiter-flexible': {
    async open(uri, limits) {
      const { RateLimiterRedis, RateLimiterUnion } = await import('rate-limiter-flexible');
      const storeClient = await connect(uri);
      const limiters = WINDOWS.slice(0, limits).map(
        ({ name, period }) =>
          new RateLimiterRedis({ storeClient, keyPrefix: name, points: AMOUNT, duration: period / 1000 }),
      );
      const limiter = limiters.length === 1 ? limiters[0] : new RateLimiterUnion(...limiters);
      return { decide: (key) => limiter.consume(key), isAllowed: () => true }; // rejects when it refuses
    },
  },

  hitlimit: {
    async open(uri, limits) {
      const { redisStore } = await import('@joint-ops/hitlimit/stores/redis');
      const stores = WINDOWS.slice(0, limits).map(({ name, period }) => {
        const store = redisStore({ url: uri, keyPrefix: `hitlimit:${name}:` });
        return (key) => store.hit(key, period, AMOUNT);
      });
      return { decide: oneAfterTheOther(stores), isAllowed: ({ count }) => count <= AMOUNT };
    },
  },

  'rate-limit-redis': {
    async open(uri, limits) {
      const { RedisStore } = await import('rate-limit-redis');
      const client = await connect(uri);
      const sendCommand = (...command) => client.call(...command);
      const increments = WINDOWS.slice(0, limits).map(async ({ name, period }) => {
        const store = new RedisStore({ sendCommand, prefix: `rl:${name}:` });
        await store.init({ windowMs: period });
        return (key) => store.increment(key);
      });
      return {
        decide: oneAfterTheOther(await Promise.all(increments)),
        isAllowed: ({ totalHits }) => totalHits <= AMOUNT,
      };
    },
  },
};

function ours(limiterName) {
  return async (uri, limits) => {
    const { parseMany, ...library } = await import('nestjs-limits');
    const { RedisStorage } = await import('nestjs-limits/redis');
    const items = parseMany(
      WINDOWS.slice(0, limits)
        .map(({ name }) => `${AMOUNT} per ${name}`)
        .join('; '),
    );
    const limiter = new library[limiterName](new RedisStorage(uri));
    return { decide: (key) => limiter.consume(items, key), isAllowed: ({ allowed }) => allowed };
  };
}

async function slots(uri, limits) {
  const { FixedWindowRateLimiter, parse } = await import('nestjs-limits');
  const { RedisStorage } = await import('nestjs-limits/redis');
  const items = WINDOWS.slice(0, limits).map((_, index) => parse(`${MAX_SLOTS - index} concurrent`));
  const limiter = new FixedWindowRateLimiter(new RedisStorage(uri));
  return {
    async decide(key) {
      const slot = await limiter.acquire(items, [key]);
      await slot.release();
      return slot;
    },
    isAllowed: ({ allowed }) => allowed,
  };
}

async function nestLab(uri, limits) {
  const { ThrottlerStorageRedisService } = await import('@nest-lab/throttler-storage-redis');
  const storage = new ThrottlerStorageRedisService(uri);
  const throttlers = WINDOWS.slice(0, limits).map(
    ({ name, period }) =>
      (key) =>
        storage.increment(key, period, AMOUNT, period, name),
  );
  return { decide: oneAfterTheOther(throttlers), isAllowed: ({ isBlocked }) => !isBlocked };
}

/** Asks all, each once the one before has answered; answers what the last one did. */
function oneAfterTheOther(calls) {
  if (calls.length === 1) return calls[0];
  return async (key) => {
    let answer;
    for (const call of calls) answer = await call(key);
    return answer;
  };
}

async function connect(uri) {
  const { Redis } = await import('ioredis');
  return new Redis(uri);
}
