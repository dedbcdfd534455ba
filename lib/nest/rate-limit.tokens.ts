/** Injection token of the storage that limits are counted in. See {@link InjectRateLimitStorage}. */
export const RATE_LIMIT_STORAGE = Symbol.for('nestjs-limits:storage');

/** Injection token of the module's options, validated and completed. */
export const RATE_LIMIT_OPTIONS = Symbol.for('nestjs-limits:options');

/** Metadata of `@RateLimit`: an array of declarations, in the order of the source. */
export const LIMITS_METADATA = 'nestjs-limits:limits';

/** Metadata of `@SkipRateLimit`: `'all'`, or the names of the policies. */
export const SKIP_METADATA = 'nestjs-limits:skip';
