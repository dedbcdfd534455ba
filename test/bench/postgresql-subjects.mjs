/** No hit of a benchmark is refused. The maximum of the peer's column. */
const AMOUNT = 1_000_000_000;
/** The largest moving window. */
const LOG_AMOUNT = 100_000;
const HOUR_S = 3600;
/** In ms. Long, since hits on one identity wait for each other. */
const PATIENCE = 20_000;

export const OURS = 'nestjs-limits, fixed window';
export const FLEXIBLE = 'rate-limiter-flexible';

/** The subjects on PostgreSQL. Each opens a URI; `decide(key)` decides one hit under one limit. */
export const subjects = {
  [OURS]: ours('FixedWindowRateLimiter', AMOUNT),
  'nestjs-limits, token bucket': ours('TokenBucketRateLimiter', 1_000_000),
  'nestjs-limits, moving window': ours('MovingWindowRateLimiter', LOG_AMOUNT),

  async [FLEXIBLE](uri) {
    const { Pool } = await import('pg');
    const { RateLimiterPostgres } = await import('rate-limiter-flexible');
    const storeClient = new Pool({ connectionString: uri });
    const limiter = await new Promise((resolve, reject) => {
      const created = new RateLimiterPostgres(
        { storeClient, tableName: 'flexible', points: AMOUNT, duration: HOUR_S },
        (error) => (error ? reject(error) : resolve(created)),
      );
    });
    return (key) => limiter.consume(key);
  },
};

function ours(limiterName, amount) {
  return async (uri) => {
    const { parse, ...library } = await import('nestjs-limits');
    const { PostgreSQLStorage } = await import('nestjs-limits/postgresql');
    const item = parse(`${amount} per hour`);
    const storage = new PostgreSQLStorage(uri, { keyPrefix: limiterName, timeout: PATIENCE });
    const limiter = new library[limiterName](storage);
    return (key) => limiter.consume(item, key);
  };
}
