/** So much that no hit of a benchmark is refused. */
const AMOUNT = 1_000_000_000;
const HOUR_S = 3600;
/** In ms. Long, since hits on one identity wait for each other. */
const PATIENCE = 20_000;

export const OURS = 'nestjs-limits, fixed window';
export const FLEXIBLE = 'rate-limiter-flexible';
export const PIPELINE = 'one update pipeline per hit (for reference)';

/**
 * What is compared on MongoDB: each is opened with a server's URI, and `decide(key)` decides one
 * hit under one limit.
 */
export const subjects = {
  [OURS]: ours('FixedWindowRateLimiter'),
  'nestjs-limits, token bucket': ours('TokenBucketRateLimiter'),

  /** A fixed window that the server counts in one command, as this library did before it gathered identities. */
  async [PIPELINE](uri) {
    const { MongoClient } = await import('mongodb');
    const client = await new MongoClient(uri).connect();
    const counts = client.db('pipeline').collection('counts');
    const pipeline = [
      { $set: { isOpen: { $gt: ['$end', '$$NOW'] } } },
      {
        $set: {
          count: { $cond: ['$isOpen', { $add: ['$count', 1] }, 1] },
          end: { $cond: ['$isOpen', '$end', { $add: ['$$NOW', HOUR_S * 1000] }] },
        },
      },
      { $unset: 'isOpen' },
    ];
    return (key) =>
      counts.findOneAndUpdate({ _id: key }, pipeline, { upsert: true, returnDocument: 'after' });
  },

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
