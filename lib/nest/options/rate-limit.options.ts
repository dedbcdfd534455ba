import type { ExecutionContext, Type } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { Decision } from '../../core/decision.js';
import type { LegacyHeaders } from '../../http/header-fields.js';
import type { LimitInput } from '../../notation/limit-input.js';
import type {
  CalendarFunction,
  ErrorMessageFunction,
  LimitsFunction,
  PlanLimits,
  PolicyDeclaration,
  PolicyOptions,
  RefusalListener,
} from '../../policies/policy.js';
import type { BlockOption } from '../../policies/block-option.js';
import type { Rule } from '../../policies/rules.js';
import type { WaitOption } from '../../policies/wait-option.js';
import type { ResilienceOptions } from '../../resilience/resilience.options.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import type { RateLimitKey } from './rate-limit-key.js';

/** The properties of a request that built-in identities read, on any transport. */
export interface RequestLike {
  /** The client's address, from the adapter. */
  readonly ip?: unknown;
  /** Header fields by name in lower case. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** The authenticated user, as set by a guard. */
  readonly user?: unknown;
  /** The session, as set by session middleware. */
  readonly session?: unknown;
}

/**
 * Returns the id of a request's user, or a promise of it: a string or a finite number; `undefined` for none. Also called before
 * authentication. Its parameter may have a narrower type, as that of a method: `(request: { user?: Account }) => request.user?.number`.
 */
export type UserFunction = { of(request: RequestLike): unknown }['of'];

/** Resolves the plan of a request; `undefined` or `null` for none. */
export type PlanFunction = (context: ExecutionContext) => Awaitable<string | null | undefined>;

/** Resolves the plan of a request, as an injectable class. It must not be request-scoped. */
export interface PlanResolver {
  /** Returns the plan; `undefined` or `null` for none. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined>;
}

/** Options of `@RateLimit`. */
export type RateLimitOptions = PolicyOptions<ExecutionContext, RateLimitKey>;

/** Limits with the options of `@RateLimit`, for `limits` of the module. */
export type RateLimitDeclaration = PolicyDeclaration<ExecutionContext, RateLimitKey>;

/** Limits for all requests with certain methods and paths. */
export type RateLimitRule = Rule<ExecutionContext, RateLimitKey>;

/** The first argument of `@RateLimit`: limits, limits by plan, or a function that returns limits. */
export type RateLimitInput = LimitInput | LimitsFunction<ExecutionContext> | PlanLimits;

/** Settings that change while the application runs. */
export interface RateLimitSettings {
  /**
   * True to read rules and networks that all instances share from the store, every two seconds, for
   * `setRules(rules, { everywhere: true, version })`. For Redis, PostgreSQL, MongoDB and etcd. Default: false.
   */
  shared?: boolean | undefined;
}

/** Header fields of a response. */
export interface RateLimitHeaders {
  /** `RateLimit-Policy` and `RateLimit`, as in the IETF draft. Default: true. */
  standard?: boolean | undefined;
  /** `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`, and their form. Default: false. */
  legacy?: boolean | LegacyHeaders | undefined;
  /** `Retry-After` on a refusal. Default: true. */
  retryAfter?: boolean | undefined;
  /**
   * True to send the fields on the HTTP response of a GraphQL operation too. They are those of the field that was decided last.
   * Default: false.
   */
  graphql?: boolean | undefined;
}

/** Options of `RateLimitModule.forRoot`, and the result of the factory of `forRootAsync`. */
export interface RateLimitModuleOptions {
  /** A URI such as `memory://`, or a storage that you create and close. Default: memory. */
  storage?: string | Storage | undefined;
  /** The strategy of limits that have none. Default: `'fixed-window'`. */
  strategy?: StrategyName | undefined;
  /** The IANA time zone of calendar windows that have none, or a function that returns it. Default: UTC. */
  timeZone?: string | CalendarFunction<ExecutionContext> | undefined;
  /** The anchor of calendar windows that have none, or a function that returns it. Default: 1970-01-01; for weeks the 5th. */
  anchor?: string | CalendarFunction<ExecutionContext> | undefined;
  /**
   * The block of policies that have none: `'15 minutes'`, `'window'`, a list, or `{ after, for }`; `[]` of a policy is
   * no block. Limits by hand have no block. Default: no block.
   */
  block?: BlockOption | undefined;
  /**
   * The wait of policies that have none: `'2 seconds'`, or `{ maxWait, maxQueue }`; `false` of a policy is no wait. Default: a refused
   * request does not wait.
   */
  wait?: WaitOption | undefined;
  /**
   * Limits that all routes share: the same as for `@RateLimit`, or a list of declarations. A route's own limits of the same name
   * replace them. Default: none; only decorated routes are limited.
   */
  limits?: RateLimitInput | readonly RateLimitDeclaration[] | undefined;
  /** Limits by method and path, in addition to those of routes. Default: none. */
  rules?: readonly RateLimitRule[] | undefined;
  /** Settings that change while the application runs. Default: each process changes its own. */
  settings?: RateLimitSettings | undefined;
  /** The identity that limits without a `key` count. Default: the client's address. */
  key?: RateLimitKey | undefined;
  /** Resolves the plan of a request, for limits with plans: a function or an injectable class. Default: no plan. */
  plan?: PlanFunction | Type<PlanResolver> | undefined;
  /** Resolves the client's address. Default: the adapter's `request.ip`, which depends on its trust proxy setting. */
  clientIp?: ((context: ExecutionContext) => Awaitable<string | null | undefined>) | undefined;
  /** Bits of an IPv6 address that identify a client, 32 to 128. Default: 64, the usual size of a subscriber's network. */
  ipv6Prefix?: number | undefined;
  /**
   * Returns the id of a request's user, for the key `'user'`. Default: the first of `id`, `userId`, `sub` and `_id` of
   * `request.user`, or `request.user` itself if it is a string or a number.
   */
  user?: UserFunction | undefined;
  /** The header field of the key `'api-key'`. Default: `'x-api-key'`. */
  apiKeyHeader?: string | undefined;
  /** Networks whose requests are not counted, for example `['10.0.0.0/8']`. Default: none. */
  allow?: readonly string[] | undefined;
  /**
   * Networks whose requests are refused with 403, also where no route answers, and whose WebSockets are closed. Takes precedence
   * over `allow`. Default: none.
   */
  deny?: readonly string[] | undefined;
  /**
   * Types of execution contexts to limit, for example `['http', 'ws']`. Default: all, but the module's own `limits` count only
   * `'http'`, `'graphql'` and `'ws'`; messages of microservices (`'rpc'`) and other types count where `@RateLimit` is.
   */
  transports?: readonly string[] | undefined;
  /**
   * Settlement of a refused message of RabbitMQ with `noAck: false`. Default: `'reject'`.
   *
   * - `'reject'`: nacked without requeue, so that RabbitMQ drops it, or sends it to the dead letter exchange of its queue
   * - `'requeue'`: an event is requeued once, for another consumer, and rejected if it comes back
   * - `'ack'`: acknowledged, so that it is gone
   * - `'manual'`: left to an exception filter of the application
   *
   * Other transports have nothing to settle.
   */
  refusedMessages?: 'reject' | 'requeue' | 'ack' | 'manual' | undefined;
  /** Behaviour while the store does not answer; `false` to throw. Ignored for memory. Default: this process counts alone. */
  resilience?: ResilienceOptions | false | undefined;
  /** Prefix of every key on a server, for a storage given as a URI. Default: `'nestjs-limits'`. */
  keyPrefix?: string | undefined;
  /** Header fields of a response; `false` for none. Default: the standard ones and `Retry-After`. */
  headers?: RateLimitHeaders | false | undefined;
  /** Returns true for a request that no limit counts. Default: every request counts. */
  skip?: ((context: ExecutionContext) => Awaitable<boolean>) | undefined;
  /** The message of a refusal. Default: names the limit and the time until the next attempt. */
  errorMessage?: string | ErrorMessageFunction<ExecutionContext> | undefined;
  /**
   * Body of a refusal on HTTP. Default: `'nest'`.
   *
   * - `'nest'`: like Nest's errors, with the limit that refused
   * - `'problem'`: problem details (RFC 9457)
   * - `'throttler'`: `{ statusCode, message }`, with the default message of `@nestjs/throttler`
   */
  errorFormat?: 'nest' | 'problem' | 'throttler' | undefined;
  /** Creates the error of a refusal. Default: a `RateLimitExceededException`. Excludes `errorMessage` and `errorFormat`. */
  errorFactory?: ((decision: Decision, context: ExecutionContext) => Awaitable<Error>) | undefined;
  /**
   * Called when a limit refuses a request, once per request, for limits that have no `onRefused`. The response does not wait for a
   * promise that it returns, and an error is logged once. Default: nothing is called.
   */
  onRefused?: RefusalListener<ExecutionContext> | undefined;
}

/** The lists of networks that can be replaced while the application runs. */
export type RateLimitNetworks = Pick<RateLimitModuleOptions, 'allow' | 'deny'>;

/** Options of `forRoot` and `forRootAsync` that the factory cannot return. */
export interface RateLimitModuleExtras {
  /** True to export the providers to all modules. Default: true. */
  isGlobal?: boolean | undefined;
  /** True to guard every route; with `false`, bind `RateLimitGuard` to the routes to limit. Default: true. */
  guard?: boolean | undefined;
}

/** Creates the module's options, for `forRootAsync({ useClass })` and `useExisting`. */
export interface RateLimitOptionsFactory {
  /** Called once while the application starts; an error stops the start. */
  createRateLimitOptions(): Awaitable<RateLimitModuleOptions>;
}
