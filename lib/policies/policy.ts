import type { Awaitable } from '../common/awaitable.js';
import type { OnError } from '../core/contract.js';
import type { Decision } from '../core/decision.js';
import type { LimitInput } from '../notation/limit-input.js';
import type { Limit } from '../core/limit.js';
import type { StrategyName } from '../strategies/strategy.js';

/** Finds out whom a request is counted for; nothing (`undefined`, `null` or `''`) falls back to the client's address. */
export type KeyFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** What lets a plan pass without being counted. */
export const UNLIMITED = 'unlimited';

/** Limits by plan; `'unlimited'` for none. */
export type PlanLimits = Readonly<Record<string, LimitInput>>;

/** Finds out the limits of a request; `'unlimited'` for none. */
export type LimitsFunction<Context> = (context: Context) => Awaitable<LimitInput>;

/** How a request ended. */
export interface RequestOutcome {
  /** Whether it was answered without an error: on HTTP with a status below 400. */
  readonly success: boolean;
  /** HTTP status of the answer; absent on other transports. */
  readonly statusCode?: number;
  /** What the handler threw; absent on HTTP, where filters make an answer of it. */
  readonly error?: unknown;
}

/** Whether a request counts, once it is known how it ended; only `false` gives back what it took. */
export type CountFunction<Context> = (context: Context, outcome: RequestOutcome) => Awaitable<boolean>;

/** Makes the message of a refusal. */
export type ErrorMessageFunction<Context> = (decision: Decision, context: Context) => Awaitable<string>;

/** How limits are counted. `Context` is what the functions are called with; `Key` is how an identity may be given. */
export interface PolicyOptions<Context, Key = KeyFunction<Context>> {
  /** What the policy is called in header fields and errors, and by what it replaces one of an outer level. Default: `'default'`. */
  name?: string | undefined;
  /** Default: the module's. */
  strategy?: StrategyName | undefined;
  /** Capacity of a token bucket, in units. Default: the amount. */
  burst?: number | undefined;
  /** Whom to count for. Default: the module's, else the client's address. */
  key?: Key | undefined;
  /** Units a request takes: a whole number from 0, or a function. Default: 1. */
  cost?: number | ((context: Context) => Awaitable<number>) | undefined;
  /**
   * Which requests share a count: those of the `'route'`, of the `'controller'`, all (`'global'`), or all whose policies
   * give the same other name here. Default: where the policy is declared.
   */
  scope?: 'route' | 'controller' | 'global' | (string & {}) | undefined;
  /** Whether to let a request pass uncounted. */
  skip?: ((context: Context) => Awaitable<boolean>) | undefined;
  /**
   * Limits of the plans that have limits of their own: `{ pro: '100/minute', internal: 'unlimited' }`. Changing the plan keeps
   * what was consumed in windows of the same length.
   */
  plans?: PlanLimits | undefined;
  /** How long a refusal closes the limit: `'15 minutes'`, or a list of longer and longer times. Default: not at all. */
  block?: string | readonly string[] | undefined;
  /** `'shadow'` counts and reports, but refuses nothing. Default: `'enforce'`. */
  mode?: 'enforce' | 'shadow' | undefined;
  /**
   * When to count: before the application's own guards, or where `RateLimitGuard` is bound after them, so that `key`, `plan` and
   * `cost` may read what they found out. Default: `'beforeAuth'`.
   */
  phase?: 'beforeAuth' | 'afterAuth' | undefined;
  /**
   * Which requests count by how they end: `'failure'`, `'success'`, or those for which a function says so. Counted beforehand,
   * so that none slips through meanwhile, and given back afterwards. Default: all.
   */
  count?: 'all' | 'failure' | 'success' | CountFunction<Context> | undefined;
  /** What becomes of a request when the store cannot decide it; of several policies' the strictest. Default: the module's. */
  onError?: OnError | undefined;
  /** The message of a refusal by this policy, or what makes it. Default: the module's. */
  errorMessage?: string | ErrorMessageFunction<Context> | undefined;
}

/** One declaration: limits and how they are counted. */
export interface PolicyDeclaration<Context, Key = KeyFunction<Context>> extends PolicyOptions<Context, Key> {
  /**
   * One or several limits, for example `'10/minute; 100/hour'`; all must allow a request. Or a function that finds them out.
   * May be left out beside `plans`: whoever has none of them then gets the strictest.
   */
  limits?: LimitInput | LimitsFunction<Context> | undefined;
}

/** What is declared in one place: a handler, a class, a rule, or the module. */
export interface PolicyLevel<Context, Key> {
  /** Names the place in errors: `@RateLimit on UsersController.login`. */
  readonly where: string;
  /** The scope of what gives none: `'route'`, `'controller'`, `'global'` or `'rule <id>'`. */
  readonly scope: string;
  readonly declarations: readonly PolicyDeclaration<Context, Key>[];
  /** Policies that this level switches off: all, or those of these names. */
  readonly skips: 'all' | readonly string[];
}

/** A declaration, compiled and frozen. */
export interface Policy<Context, Key> {
  /** Tells it from other policies, the same in every process: its name and scope. */
  readonly id: string;
  readonly name: string;
  /** Names the place of the declaration in errors. */
  readonly where: string;
  /** The limits of whoever has no plan that the policy knows. */
  readonly limits: readonly Limit[];
  /** The limits of the plans that have limits of their own. */
  readonly plans: ReadonlyMap<string, readonly Limit[]> | undefined;
  /** Finds out the limits per request, in place of `limits`. */
  readonly limitsFor: ((context: Context) => Awaitable<readonly Limit[]>) | undefined;
  readonly key: Key | undefined;
  readonly cost: number | ((context: Context) => Awaitable<number>);
  readonly skip: ((context: Context) => Awaitable<boolean>) | undefined;
  readonly phase: 'beforeAuth' | 'afterAuth';
  /** Whether a request counts, by how it ended; absent for all. */
  readonly count: CountFunction<Context> | undefined;
  readonly onError: OnError | undefined;
  readonly errorMessage: string | ErrorMessageFunction<Context> | undefined;
}
