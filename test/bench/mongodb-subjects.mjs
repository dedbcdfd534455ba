/** So much that no hit of a benchmark is refused. */
const AMOUNT = 1_000_000_000;
const HOUR_S = 3600;
/** In ms. Long, since hits on one identity wait for each other. */
const PATIENCE = 20_000;

export const OURS = 'nestjs-limits, fixed window';
export const FLEXIBLE = 'rate-limiter-flexible';

/**
 * What is compared on MongoDB: each is opened with a server's URI, and `decide(key)` decides one
 * hit under one limit.
 */
export const subjects = {
  [OURS]: ours('FixedWindowRateLimiter'),
  'nestjs-limits, token bucket': ours('TokenBucketRateLimiter'),

  async [FLEXIBLE](uri) {
    const { MongoClient } = await import('mongodb');
    const { RateLimiterMongo } = await import('rate-limiter-flexible');
    const storeClient = await new MongoClient(uri).connect();
    const limiter = new RateLimiterMongo({
      storeClient,
      dbName: 'flexible',
      points: AMOUNT,
      duration: HOUR_S,
    });
    return (key) => limiter.consume(key);
  },
};

function ours(limiterName) {
  return async (uri) => {
    const { parse, ...library } = await import('nestjs-limits');
    const { MongoDBStorage } = await import('nestjs-limits/mongodb');
    const item = parse(`${AMOUNT} per hour`);
    const storage = new MongoDBStorage(uri, { database: limiterName, timeout: PATIENCE });
    const limiter = new library[limiterName](storage);
    return (key) => limiter.consume(item, key);
  };
}
