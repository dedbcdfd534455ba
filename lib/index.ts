/**
 * Rate limiting for NestJS: the module, its decorators, limiters, and the storages that need no
 * driver. Storages with a server have separate entry points, such as `nestjs-limits/redis`;
 * `storageFromString` loads them on demand.
 *
 * @example
 * ```ts
 * import { Module } from '@nestjs/common';
 * import { RateLimitModule } from 'nestjs-limits';
 *
 * @Module({ imports: [RateLimitModule.forRoot({ limits: '100/minute' })] })
 * class AppModule {}
 * ```
 *
 * @packageDocumentation
 */

export { RateLimitModule, type RateLimitModuleAsyncOptions } from './nest/rate-limit.module.js';
export { InjectRateLimitStorage } from './nest/decorators/parameter.decorators.js';
export { RateLimitInfo } from './nest/decorators/parameter.decorators.js';
export { RateLimit } from './nest/decorators/rate-limit.decorator.js';
export { SkipRateLimit } from './nest/decorators/skip-rate-limit.decorator.js';
export {
  firstOf,
  type BuiltInKey,
  type FirstOf,
  type IdentityResolver,
  type RateLimitKey,
} from './nest/options/rate-limit-key.js';
export type { PolicyReference } from './nest/routes/route-policy.js';
export {
  RateLimitExceededException,
  type RefusalBody,
} from './nest/transports/rate-limit-exceeded.exception.js';
export { requestOf } from './nest/transports/request-of.js';
export { RateLimitGuard } from './nest/rate-limit.guard.js';
export { RateLimitInterceptor } from './nest/rate-limit.interceptor.js';
export { applyRateLimits, RateLimitMiddleware } from './nest/rate-limit.middleware.js';
export type {
  PlanFunction,
  PlanResolver,
  RateLimitDeclaration,
  RateLimitHeaders,
  RateLimitInput,
  RateLimitModuleExtras,
  RateLimitModuleOptions,
  RateLimitNetworks,
  RateLimitOptions,
  RateLimitOptionsFactory,
  RateLimitRule,
  RateLimitSettings,
  RequestLike,
  UserFunction,
} from './nest/options/rate-limit.options.js';
export { throttlerCompatible, type ThrottlerCompatibleOptions } from './nest/throttler-compatible.js';
export {
  toThrottlerStorage,
  type ThrottlerStorage,
  type ThrottlerStorageRecord,
} from './nest/throttler-storage.js';
export { RATE_LIMIT_STORAGE } from './nest/options/rate-limit.tokens.js';
export { RateLimiterService } from './nest/rate-limiter.service.js';
export type { SharedChange, SharedSettings } from './nest/settings/shared-settings.js';
export type { SharedRule, SharedRuleOptions } from './policies/shared-rules.js';
export type { SettingsStore, StoredSettings } from './core/settings-store.js';

export type { Awaitable } from './common/awaitable.js';
export type { Clock } from './common/time.js';
export {
  ConcurrentUpdateError,
  ConfigurationError,
  RateLimitError,
  RateLimitParseError,
  ResolverError,
  StorageError,
  WaitTimeoutError,
  type RateLimitErrorCode,
} from './common/errors.js';

export type { Granularity } from './notation/granularity.js';
export type { LimitInput } from './notation/limit-input.js';
export { parse, parseMany } from './notation/parse.js';
export { RateLimitItem } from './notation/rate-limit-item.js';
export { RateLimitItemConcurrent } from './notation/rate-limit-item-concurrent.js';
export {
  RateLimitItemPerDay,
  RateLimitItemPerHour,
  RateLimitItemPerMillisecond,
  RateLimitItemPerMinute,
  RateLimitItemPerMonth,
  RateLimitItemPerSecond,
  RateLimitItemPerWeek,
  RateLimitItemPerYear,
} from './notation/rate-limit-items.js';
export { registerGranularity, type RateLimitItemClass } from './notation/registry.js';

export { loadTemporal } from './common/temporal.js';
export type { CalendarRule, CalendarUnit } from './strategies/calendar.js';
export type { CalendarOptions, CalendarPosition } from './strategies/calendars.js';
export type {
  Consumption,
  Evaluation,
  Quota,
  RateStrategyName,
  StrategyName,
} from './strategies/strategy.js';

export {
  CasStorage,
  type CasStorageOptions,
  type Replacement,
  type StoredText,
  type VersionedText,
} from './storages/cas/cas.storage.js';
export type {
  BatchResult,
  Block,
  Cell,
  Hit,
  Outcome,
  Receipt,
  Settlement,
  StorageCapabilities,
} from './core/contract.js';
export { createLimit, type CreateLimitOptions, type Limit, type LimitWait } from './core/limit.js';
export { MemoryStorage, type MemoryStorageOptions } from './storages/memory/memory.storage.js';
export type { ServerStorageOptions } from './storages/server.storage.js';
export { storageFromString, type StorageFromStringOptions } from './storages/storage-from-string.js';
export type { MovingWindowSupport } from './core/per-key-methods.js';
export { Storage, type StorageOptions } from './core/storage.js';

export type { LegacyHeaders } from './http/header-fields.js';
export type { RateLimitEvent, SettledHit } from './observability/rate-limit-events.js';
export type { CallResult, StoreOperation } from './resilience/circuit-breaker.storage.js';
export type { OnError } from './core/contract.js';
export type { LeaseOptions, ResilienceOptions } from './resilience/resilience.options.js';

export { Decision } from './core/decision.js';
export { Limiter, type HitArguments, type HitOptions, type WindowStats } from './limiter/limiter.js';
export type { Meter, MeterOptions } from './limiter/meter.js';
export { RateLimiter } from './limiter/rate-limiter.js';
export type { Slot } from './limiter/slot.js';
export type { WaitOptions } from './limiter/fair-queue.js';
export {
  CalendarWindowRateLimiter,
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MovingWindowRateLimiter,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
} from './limiter/rate-limiters.js';

export type { BlockAfterRefusals, BlockOption } from './policies/block-option.js';
export type { GivenLimits, LimitsWithOptions } from './policies/given-limits.js';
export type {
  ActualCostFunction,
  CalendarFunction,
  CountFunction,
  ErrorMessageFunction,
  KeyFunction,
  LimitsFunction,
  PlanLimits,
  PolicyDeclaration,
  PolicyOptions,
  RefusalListener,
  RequestOutcome,
} from './policies/policy.js';
export type { Rule } from './policies/rules.js';
export type { WaitInstead, WaitOption } from './policies/wait-option.js';
