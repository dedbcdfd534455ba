/** Injection token of the storage that limits are counted in. See {@link InjectRateLimitStorage}. */
export const RATE_LIMIT_STORAGE = Symbol.for('nestjs-limits:storage');

/** Injection token of the storage with the fallback, circuit breaker and caches of the option `resilience`. */
export const DECIDING_STORAGE = Symbol.for('nestjs-limits:deciding-storage');

/** Injection token of the state of the store, for health checks. */
export const STORE_HEALTH = Symbol.for('nestjs-limits:store-health');

/** Injection token of `RateLimiterService`, for the console: its class differs between the two copies of this package. */
export const RATE_LIMITER = Symbol.for('nestjs-limits:limiter');

/** Injection token of the policies of all routes and rules, for the console and OpenAPI documents. */
export const POLICY_DIRECTORY = Symbol.for('nestjs-limits:policies');

/** Injection token of the rules, for the console and OpenAPI documents. */
export const ROUTE_RULES = Symbol.for('nestjs-limits:rules');

/** Injection token of the events of limits and their store. */
export const RATE_LIMIT_EVENTS = Symbol.for('nestjs-limits:events');

/** Injection token of the module's options, validated and with defaults. */
export const RATE_LIMIT_OPTIONS = Symbol.for('nestjs-limits:options');

/** Metadata of `@RateLimit`: an array of declarations, in the order of the source. */
export const LIMITS_METADATA = 'nestjs-limits:limits';

/** Metadata of `@SkipRateLimit`: `'all'`, or the names of the policies. */
export const SKIP_METADATA = 'nestjs-limits:skip';

/** Metadata of a prototype: its methods that have `@RateLimit` or `@SkipRateLimit`, as they were when they were decorated. */
export const METHODS_METADATA = 'nestjs-limits:methods';

/** Injection token of the limiter of connections, for gateways. */
export const CONNECTION_LIMITS = Symbol.for('nestjs-limits:connections');

/** Metadata of a gateway's `handleConnection` that checks the limits of connections. */
export const CONNECTION_METADATA = 'nestjs-limits:connection';
