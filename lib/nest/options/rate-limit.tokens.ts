/** Injection token of the storage that limits are counted in. See {@link InjectRateLimitStorage}. */
export const RATE_LIMIT_STORAGE = Symbol.for('nestjs-limits:storage');

/** Injection token of what decides: the storage, and what stands before it while it does not answer. */
export const DECIDING_STORAGE = Symbol.for('nestjs-limits:deciding-storage');

/** Injection token of how the store is, for health checks. */
export const STORE_HEALTH = Symbol.for('nestjs-limits:store-health');

/** Injection token of the module's options, validated and completed. */
export const RATE_LIMIT_OPTIONS = Symbol.for('nestjs-limits:options');

/** Metadata of `@RateLimit`: an array of declarations, in the order of the source. */
export const LIMITS_METADATA = 'nestjs-limits:limits';

/** Metadata of `@SkipRateLimit`: `'all'`, or the names of the policies. */
export const SKIP_METADATA = 'nestjs-limits:skip';

/** Injection token of what limits connections, for gateways. */
export const CONNECTION_LIMITS = Symbol.for('nestjs-limits:connections');

/** Metadata of the method of a gateway that is called for each connection and asks for limits itself. */
export const CONNECTION_METADATA = 'nestjs-limits:connection';
