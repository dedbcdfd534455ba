import type { ExecutionContext, Type } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { Decision } from '../../core/decision.js';
import type { LimitInput } from '../../notation/limit-input.js';
import type {
  ErrorMessageFunction,
  LimitsFunction,
  PlanLimits,
  PolicyDeclaration,
  PolicyOptions,
} from '../../policies/policy.js';
import type { Rule } from '../../policies/rules.js';
import type { ResilienceOptions } from '../../resilience/resilience.options.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import type { RateLimitKey } from './rate-limit-key.js';

/** What built-in identities read of a request, whatever brought it. */
export interface RequestLike {
  /** The client's address, as the adapter tells it. */
  readonly ip?: unknown;
  /** By names in lower case. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** Whom a guard found the client to be. */
  readonly user?: unknown;
  /** What session middleware keeps for the client. */
  readonly session?: unknown;
}

/**
 * Finds the id of a request's user: a string or a finite number, or a promise of it; nothing without a user. Called before
 * authentication, too. May narrow the type of its requests: `(request: { user?: Account }) => request.user?.number`.
 */
export type UserFunction = { of(request: RequestLike): unknown }['of'];

/** Finds out the plan of a request; nothing for none. */
export type PlanFunction = (context: ExecutionContext) => Awaitable<string | null | undefined>;

/** Finds out the plan of a request, as an injectable class. It must not be request-scoped. */
export interface PlanResolver {
  /** The plan; nothing (`undefined` or `null`) means none. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined>;
}

/** Options of `@RateLimit`. */
export type RateLimitOptions = PolicyOptions<ExecutionContext, RateLimitKey>;

/** Limits with the options of `@RateLimit`, for `limits` of the module. */
export type RateLimitDeclaration = PolicyDeclaration<ExecutionContext, RateLimitKey>;

/** Limits of all requests of some methods and paths. */
export type RateLimitRule = Rule<ExecutionContext, RateLimitKey>;

/** What `@RateLimit` takes: limits, limits by plan, or a function that finds them out. */
export type RateLimitInput = LimitInput | LimitsFunction<ExecutionContext> | PlanLimits;

/** Which header fields a response gets. */
export interface RateLimitHeaders {
  /** `RateLimit-Policy` and `RateLimit`, as the IETF draft has them. Default: true. */
  standard?: boolean | undefined;
  /** `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`. Default: false. */
  legacy?: boolean | undefined;
  /** `Retry-After` on a refusal. Default: true. */
  retryAfter?: boolean | undefined;
}

/** Options of `RateLimitModule.forRoot`, and what the factory of `forRootAsync` returns. */
export interface RateLimitModuleOptions {
  /** A URI such as `memory://`, or a storage of your own making, which you close yourself. Default: memory. */
  storage?: string | Storage | undefined;
  /** How limits are counted that do not say it themselves. Default: `'fixed-window'`. */
  strategy?: StrategyName | undefined;
  /**
   * Limits of every route, all together: what `@RateLimit` takes, or a list of declarations. A route's own limits of the same name
   * replace them. Default: none; only decorated routes are limited.
   */
  limits?: RateLimitInput | readonly RateLimitDeclaration[] | undefined;
  /** Limits of requests by method and path, beside those of routes. Default: none. */
  rules?: readonly RateLimitRule[] | undefined;
  /** Whom to count for where a limit does not say it itself. Default: the client's address. */
  key?: RateLimitKey | undefined;
  /** Finds out the plan of a request, where limits have plans: a function, or an injectable class. Default: no plan. */
  plan?: PlanFunction | Type<PlanResolver> | undefined;
  /** The address of a client. Default: the adapter's `request.ip`, which its trust proxy setting decides. */
  clientIp?: ((context: ExecutionContext) => Awaitable<string | null | undefined>) | undefined;
  /** Bits of an IPv6 address that count as one client, 32 to 128. Default: 64, what a provider gives to one subscriber. */
  ipv6Prefix?: number | undefined;
  /**
   * Finds the id of the user for the key `'user'`. Default: the first of `id`, `userId`, `sub` and `_id` of `request.user`; or
   * `request.user` itself, if it is a string or a number.
   */
  user?: UserFunction | undefined;
  /** The header that holds an `'api-key'`. Default: `'x-api-key'`. */
  apiKeyHeader?: string | undefined;
  /** Networks whose requests are not counted: `['10.0.0.0/8']`. Default: none. */
  allow?: readonly string[] | undefined;
  /** Networks whose requests are refused with 403. Wins over `allow`. Default: none. */
  deny?: readonly string[] | undefined;
  /** Types of contexts to limit: `['http', 'ws']`. Default: all. */
  transports?: readonly string[] | undefined;
  /** What happens while the store does not answer; `false` for errors. Not for memory. Default: counted by this process alone. */
  resilience?: ResilienceOptions | false | undefined;
  /** Begins every key on a shared server. For a storage given as a URI; yours takes it in its constructor. Default: `'nestjs-limits'`. */
  keyPrefix?: string | undefined;
  /** Which header fields a response gets; `false` for none. Default: standard ones and `Retry-After`. */
  headers?: RateLimitHeaders | false | undefined;
  /** Whether to let a request pass uncounted by any limit. */
  skip?: ((context: ExecutionContext) => Awaitable<boolean>) | undefined;
  /** The message of a refusal's body. Default: names the limit and when to try again. */
  errorMessage?: string | ErrorMessageFunction<ExecutionContext> | undefined;
  /** The body of a refusal on HTTP: as Nest's own errors, or problem details (RFC 9457). Default: `'nest'`. */
  errorFormat?: 'nest' | 'problem' | undefined;
  /** Makes what a refusal throws. Default: a `RateLimitExceededException`. Excludes `errorMessage` and `errorFormat`. */
  errorFactory?: ((decision: Decision, context: ExecutionContext) => Awaitable<Error>) | undefined;
}

/** Given beside the options, or beside the factory of `forRootAsync`. */
export interface RateLimitModuleExtras {
  /** Whether every module can inject what this one exports. Default: true. */
  isGlobal?: boolean | undefined;
  /** Whether to guard every route. With `false`, bind `RateLimitGuard` yourself where you want it. Default: true. */
  guard?: boolean | undefined;
}

/** Makes the module's options, for `forRootAsync({ useClass })` and `useExisting`. */
export interface RateLimitOptionsFactory {
  /** Called once, while the application starts; what it throws stops the start. */
  createRateLimitOptions(): Awaitable<RateLimitModuleOptions>;
}
