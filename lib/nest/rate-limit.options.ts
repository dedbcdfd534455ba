import type { ExecutionContext, Type } from '@nestjs/common';
import type { Awaitable } from '../common/awaitable.js';
import type { Decision } from '../limiter/decision.js';
import type { LimitInput } from '../limits/limit-input.js';
import type { KeyFunction, PolicyDeclaration, PolicyOptions } from '../policies/policy.js';
import type { Storage } from '../storages/storage.js';
import type { StrategyName } from '../strategies/strategy.js';

/** Finds out whom a request is counted for, as an injectable class. It must not be request-scoped. */
export interface IdentityResolver {
  /** The identity; nothing (`undefined`, `null` or `''`) falls back to the client's address. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined>;
}

/** A function, or an injectable class, that finds out whom a request is counted for. */
export type RateLimitKey = KeyFunction<ExecutionContext> | Type<IdentityResolver>;

/** Options of `@RateLimit`. */
export type RateLimitOptions = PolicyOptions<ExecutionContext, RateLimitKey>;

/** Limits with the options of `@RateLimit`, for `limits` of the module. */
export type RateLimitDeclaration = PolicyDeclaration<ExecutionContext, RateLimitKey>;

/** Which header fields a response gets. */
export interface RateLimitHeaders {
  /** `RateLimit-Policy` and `RateLimit`, as the IETF draft has them. Default: true. */
  standard?: boolean;
  /** `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`. Default: false. */
  legacy?: boolean;
  /** `Retry-After` on a refusal. Default: true. */
  retryAfter?: boolean;
}

/** Options of `RateLimitModule.forRoot`, and what the factory of `forRootAsync` returns. */
export interface RateLimitModuleOptions {
  /** A URI such as `memory://`, or a storage of your own making, which you close yourself. Default: memory. */
  storage?: string | Storage;
  /** How limits are counted that do not say it themselves. Default: `'fixed-window'`. */
  strategy?: StrategyName;
  /** Limits of every route. Default: none; only decorated routes are limited. */
  limits?: LimitInput | readonly RateLimitDeclaration[];
  /** Whom to count for where a limit does not say it itself. Default: the client's address. */
  key?: RateLimitKey;
  /** Begins every key on a shared server. For a storage given as a URI; yours takes it in its constructor. Default: `'nestjs-limits'`. */
  keyPrefix?: string;
  /** Which header fields a response gets; `false` for none. Default: standard ones and `Retry-After`. */
  headers?: RateLimitHeaders | false;
  /** Whether to let a request pass uncounted by any limit. */
  skip?: (context: ExecutionContext) => Awaitable<boolean>;
  /** The message of a refusal's body. Default: names the limit and when to try again. */
  errorMessage?: string | ((decision: Decision, context: ExecutionContext) => string);
  /** Makes what a refusal throws. Default: a `RateLimitExceededException`. Excludes `errorMessage`. */
  errorFactory?: (decision: Decision, context: ExecutionContext) => Error;
}

/** Given beside the options, or beside the factory of `forRootAsync`. */
export interface RateLimitModuleExtras {
  /** Whether every module can inject what this one exports. Default: true. */
  isGlobal?: boolean;
  /** Whether to guard every route. With `false`, bind `RateLimitGuard` yourself where you want it. Default: true. */
  guard?: boolean;
}

/** Makes the module's options, for `forRootAsync({ useClass })` and `useExisting`. */
export interface RateLimitOptionsFactory {
  createRateLimitOptions(): Awaitable<RateLimitModuleOptions>;
}
