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
import type { RateStrategyName } from '../../strategies/strategy.js';
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
  /**
   * True to send `RateLimit-Policy` and `RateLimit`, as in the IETF draft.
   *
   * @default true
   */
  standard?: boolean | undefined;
  /**
   * True to send the `X-RateLimit-*` fields; an object sets their format.
   *
   * @default false
   * @see docs/headers.md#the-legacy-fields
   */
  legacy?: boolean | LegacyHeaders | undefined;
  /**
   * True to send `Retry-After` on a refusal.
   *
   * @default true
   */
  retryAfter?: boolean | undefined;
  /**
   * True to send the fields on the HTTP response of a GraphQL operation too: those of the field
   * that was decided last.
   *
   * @default false
   */
  graphql?: boolean | undefined;
}

/** Options of `RateLimitModule.forRoot`, and the result of the factory of `forRootAsync`. */
export interface RateLimitModuleOptions {
  /**
   * A URI such as `'memory://'` or `'redis://localhost:6379'`, or a storage that you create and
   * close.
   *
   * @default memory
   * @see docs/storages.md
   */
  storage?: string | Storage | undefined;
  /**
   * Prefix of every key on the server, for a storage given as a URI.
   *
   * @default 'nestjs-limits'
   * @see docs/storages.md#options
   */
  keyPrefix?: string | undefined;
  /**
   * Behaviour while a remote store does not answer; `false` to throw.
   *
   * Ignored for memory.
   *
   * @default this process counts alone
   * @see docs/reliability.md
   */
  resilience?: ResilienceOptions | false | undefined;
  /**
   * Limits that all routes share: the same as for `@RateLimit`, or a list of
   * `{ limits, name, … }` with its options.
   *
   * A route's own limits of the same name replace them. By default, only decorated routes are
   * limited.
   *
   * @default none
   */
  limits?: RateLimitInput | readonly RateLimitDeclaration[] | undefined;
  /**
   * Limits by method and path, in addition to those of routes.
   *
   * @default none
   * @see docs/rules.md
   */
  rules?: readonly RateLimitRule[] | undefined;
  /**
   * `{ shared: true }` for rules and networks that all instances share.
   *
   * @default { shared: false }
   * @see docs/change-a-limit.md#in-all-instances
   */
  settings?: RateLimitSettings | undefined;
  /**
   * Strategy of limits that do not set one.
   *
   * @default 'fixed-window'
   * @see docs/strategies.md
   */
  strategy?: RateStrategyName | undefined;
  /**
   * Time zone of calendar windows that do not set one: an IANA name, or a function that returns
   * it.
   *
   * @default UTC
   * @see docs/monthly-quotas.md
   */
  timeZone?: string | CalendarFunction<ExecutionContext> | undefined;
  /**
   * Start of calendar windows that do not set one: a local date, or date and time, or a function
   * that returns it.
   *
   * For weeks, the default is Monday 1970-01-05.
   *
   * @default 1970-01-01
   */
  anchor?: string | CalendarFunction<ExecutionContext> | undefined;
  /**
   * Block of limits that do not set one: `'15 minutes'`, `'window'`, a list, or `{ after, for }`.
   *
   * `[]` of a limit is no block. Limits by hand have no block.
   *
   * @default none
   * @see docs/blocks.md
   */
  block?: BlockOption | undefined;
  /**
   * Wait instead of a refusal, for limits that do not set one: `'2 seconds'`, or
   * `{ maxWait, maxQueue }`.
   *
   * `false` of a limit is no wait.
   *
   * @default none
   * @see docs/queues.md
   */
  wait?: WaitOption | undefined;
  /**
   * Identity that limits without a `key` count: `'user'`, `'api-key'`, `'header:x-tenant'`,
   * `'body:email'`, a function, a class, or several.
   *
   * @default the client's address
   * @see docs/identities.md
   */
  key?: RateLimitKey | undefined;
  /**
   * Returns the plan of a request: a function, async allowed, or an injectable `PlanResolver`
   * class.
   *
   * @default no plan
   * @see docs/plans.md
   */
  plan?: PlanFunction | Type<PlanResolver> | undefined;
  /**
   * Returns the id of a request's user, for the key `'user'`:
   * `(request: { user?: { account: string } }) => request.user?.account`.
   *
   * By default, the first of these properties, or `request.user` itself if it is a string or a
   * number.
   *
   * @default `id`, `userId`, `sub`, `_id` of `request.user`
   * @see docs/per-user.md
   */
  user?: UserFunction | undefined;
  /**
   * Header field of the key `'api-key'`.
   *
   * @default 'x-api-key'
   */
  apiKeyHeader?: string | undefined;
  /**
   * Returns the client's address, async allowed, if the adapter does not know it.
   *
   * The adapter's `request.ip` depends on its trust proxy setting.
   *
   * @default the adapter's
   * @see docs/behind-a-proxy.md
   */
  clientIp?: ((context: ExecutionContext) => Awaitable<string | null | undefined>) | undefined;
  /**
   * Bits of an IPv6 address that identify one client, 32 to 128.
   *
   * 64 bits are the usual size of a subscriber's network.
   *
   * @default 64
   */
  ipv6Prefix?: number | undefined;
  /**
   * Networks whose requests are not counted: `['10.0.0.0/8']`.
   *
   * @default none
   * @see docs/behind-a-proxy.md#allow-and-deny-networks
   */
  allow?: readonly string[] | undefined;
  /**
   * Networks whose requests are refused with 403, and whose WebSockets are closed. Takes
   * precedence over `allow`.
   *
   * Also refuses requests that no route answers.
   *
   * @default none
   */
  deny?: readonly string[] | undefined;
  /**
   * Returns true for a request that no limit counts: `(context) => boolean`, async allowed.
   *
   * @default never
   */
  skip?: ((context: ExecutionContext) => Awaitable<boolean>) | undefined;
  /**
   * Kinds of contexts to limit: `['http', 'ws']`. By default, the module's `limits` do not count
   * microservices.
   *
   * Without this option, the module's own `limits` count only `'http'`, `'graphql'` and `'ws'`;
   * messages of microservices (`'rpc'`) and other types count where `@RateLimit` is.
   *
   * @default all
   * @see docs/microservices.md#limits-of-the-module
   */
  transports?: readonly string[] | undefined;
  /**
   * Settlement of a refused message of RabbitMQ with `noAck: false`: `'reject'`, `'requeue'`,
   * `'ack'` or `'manual'`.
   *
   * - `'reject'`: nacked without requeue, so that RabbitMQ drops it, or sends it to the dead letter exchange of its queue
   * - `'requeue'`: an event is requeued once, for another consumer, and rejected if it comes back
   * - `'ack'`: acknowledged, so that it is gone
   * - `'manual'`: left to an exception filter of the application
   *
   * @default 'reject'
   * @see docs/brokers.md#rabbitmq
   */
  refusedMessages?: 'reject' | 'requeue' | 'ack' | 'manual' | undefined;
  /**
   * Header fields of a response: `{ standard, legacy, retryAfter, graphql }`; `false` for none.
   *
   * @default the standard ones
   * @see docs/headers.md
   */
  headers?: RateLimitHeaders | false | undefined;
  /**
   * Message of a refusal: a string, or `(decision, context) => string`.
   *
   * @default names the limit
   */
  errorMessage?: string | ErrorMessageFunction<ExecutionContext> | undefined;
  /**
   * Body of a refusal on HTTP: `'nest'`, `'problem'` details (RFC 9457), or `'throttler'`.
   *
   * - `'nest'`: like Nest's errors, with the limit that refused
   * - `'problem'`: problem details (RFC 9457)
   * - `'throttler'`: `{ statusCode, message }`, with the default message of `@nestjs/throttler`
   *
   * @default 'nest'
   * @see docs/errors.md#refusals
   */
  errorFormat?: 'nest' | 'problem' | 'throttler' | undefined;
  /**
   * Creates the error of a refusal: `(decision, context) => Error`. Excludes `errorMessage` and
   * `errorFormat`.
   *
   * @default a `RateLimitExceededException`
   */
  errorFactory?: ((decision: Decision, context: ExecutionContext) => Awaitable<Error>) | undefined;
  /**
   * Called once for each refused request: `(decision, context) => …`. It is not awaited.
   *
   * Only for limits that have no `onRefused`. An error is logged once.
   *
   * @default nothing
   * @see docs/act-on-refusals.md
   */
  onRefused?: RefusalListener<ExecutionContext> | undefined;
}

/** The lists of networks that can be replaced while the application runs. */
export type RateLimitNetworks = Pick<RateLimitModuleOptions, 'allow' | 'deny'>;

/** Options of `forRoot` and `forRootAsync` that the factory cannot return. */
export interface RateLimitModuleExtras {
  /**
   * True to export the providers to all modules.
   *
   * @default true
   */
  isGlobal?: boolean | undefined;
  /**
   * True to guard every route; with `false`, bind `RateLimitGuard` to the routes to limit.
   *
   * @default true
   */
  guard?: boolean | undefined;
}

/** Creates the module's options, for `forRootAsync({ useClass })` and `useExisting`. */
export interface RateLimitOptionsFactory {
  /** Called once while the application starts; an error stops the start. */
  createRateLimitOptions(): Awaitable<RateLimitModuleOptions>;
}
