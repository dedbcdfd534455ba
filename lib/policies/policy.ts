import type { Awaitable } from '../common/awaitable.js';
import type { OnError } from '../core/contract.js';
import type { Decision } from '../core/decision.js';
import type { LimitInput } from '../notation/limit-input.js';
import type { Limit } from '../core/limit.js';
import type { BlockOption } from './block-option.js';
import type { GivenLimits } from './given-limits.js';
import type { RateStrategyName, StrategyName } from '../strategies/strategy.js';
import type { WaitOption } from './wait-option.js';

/** Returns the identity of a request; `undefined`, `null` and `''` fall back to the client's address. */
export type KeyFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** Limits by plan, alone or with options: `{ limits: '100/minute', burst: 50 }`; `'unlimited'` for a plan without limits. */
export type PlanLimits = Readonly<Record<string, GivenLimits>>;

/** Returns the limits of a request, alone or with options: `{ limits: '100/minute', burst: 50 }`; `'unlimited'` for none. */
export type LimitsFunction<Context> = (context: Context) => Awaitable<GivenLimits>;

/**
 * Returns the time zone or the anchor of a request's calendar windows; `undefined` and `null` mean the default.
 */
export type CalendarFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** Where calendar windows lie: for all requests, or found for each. */
export interface CalendarSource<Context> {
  readonly timeZone?: string | CalendarFunction<Context> | undefined;
  readonly anchor?: string | CalendarFunction<Context> | undefined;
}

/** The outcome of a request. */
export interface RequestOutcome {
  /** True if it was answered without an error: on HTTP with a status below 400. */
  readonly success: boolean;
  /** HTTP status of the response; absent on other transports, and when `aborted`. */
  readonly statusCode?: number;
  /**
   * True if the client disconnected before the response header was sent; outside HTTP, if the call was cancelled before its
   * handler had ended. Default: absent.
   */
  readonly aborted?: boolean;
  /** The error that the handler threw; absent on HTTP, where filters turn it into a response. */
  readonly error?: unknown;
}

/**
 * Decides by outcome whether a request counts; only `false` refunds its cost. It is not called for
 * a request that its client has given up (`outcome.aborted`): that request counts.
 */
export type CountFunction<Context> = (context: Context, outcome: RequestOutcome) => Awaitable<boolean>;

/**
 * Returns the actual cost of a request by its outcome: a whole number from 0, which may exceed the limit; `undefined` keeps the cost.
 * Also called for a request that its client has given up (`outcome.aborted`).
 */
export type ActualCostFunction<Context> = (
  context: Context,
  outcome: RequestOutcome,
) => Awaitable<number | undefined>;

/** Returns the message of a refusal. */
export type ErrorMessageFunction<Context> = (decision: Decision, context: Context) => Awaitable<string>;

/** Called for a refusal. Its result is ignored. */
export type RefusalListener<Context> = (decision: Decision, context: Context) => unknown;

/** Options of limits. `Context` is the argument of the functions; `Key` is the type of an identity. */
export interface PolicyOptions<Context, Key = KeyFunction<Context>> {
  /**
   * Name in header fields and errors. A policy replaces one of an outer level with the same name.
   *
   * @default 'default'
   */
  name?: string | undefined;
  /**
   * The algorithm that counts.
   *
   * @default the module's
   * @see docs/strategies.md
   */
  strategy?: RateStrategyName | undefined;
  /**
   * Time zone of calendar windows: an IANA name, `'Europe/Berlin'`, or a function that returns
   * it.
   *
   * For the strategy `'calendar-window'`.
   *
   * @default the module's
   * @see docs/monthly-quotas.md
   */
  timeZone?: string | CalendarFunction<Context> | undefined;
  /**
   * Start of calendar windows, from which they step in both directions: a local date, or date and
   * time, or a function that returns it.
   *
   * `'2026-01-15'` for months from the 15th; a function may return the billing day of a customer.
   * For the strategy `'calendar-window'`.
   *
   * @default the module's
   */
  anchor?: string | CalendarFunction<Context> | undefined;
  /**
   * Capacity of a token bucket, in units.
   *
   * @default the amount
   */
  burst?: number | undefined;
  /**
   * For concurrent requests: time after which the slots of a process that has died are free.
   *
   * A living process renews them at a third of it, so that requests may take longer.
   *
   * @default '30 seconds'
   * @see docs/concurrent-requests.md
   */
  hold?: string | undefined;
  /**
   * The identity to count. A missing one falls back to the client's address.
   *
   * @default the module's
   * @see docs/identities.md
   */
  key?: Key | undefined;
  /**
   * Units that a request takes: a whole number from 0, or `(context) => number`, async allowed.
   *
   * @default 1
   */
  cost?: number | ((context: Context) => Awaitable<number>) | undefined;
  /**
   * Returns the units that a request has used, after the response:
   * `(context, outcome) => number`.
   *
   * `cost` is reserved at the start. A request may count more than its reservation, even more
   * than the limit: later requests are then refused until the debt is paid off. Excludes `count`.
   *
   * @default the `cost`
   * @see docs/token-budgets.md
   */
  actualCost?: ActualCostFunction<Context> | undefined;
  /**
   * Requests that share a count: those of the `'route'`, of the `'controller'`, all (`'global'`),
   * or those of all policies with the same other name here.
   *
   * @default the place of the declaration
   */
  scope?: 'route' | 'controller' | 'global' | (string & {}) | undefined;
  /**
   * Returns true for a request that is not counted: `(context) => boolean`, async allowed.
   *
   * @default never
   */
  skip?: ((context: Context) => Awaitable<boolean>) | undefined;
  /**
   * Limits by plan, `{ pro: '100/minute', internal: 'unlimited' }`, or with options,
   * `{ limits, burst, block, wait }`.
   *
   * Any other plan gets `limits`. A change of plan keeps the counts of windows of the same
   * length.
   *
   * @default none
   * @see docs/plans.md
   */
  plans?: PlanLimits | undefined;
  /**
   * Time for which a refusal blocks the identity: `'15 minutes'`, a list of increasing times, or
   * after several refusals; `[]` for none.
   *
   * A list is for the first block, the second, …; `'window'` is the period of the limit that
   * refused; `{ after: 20, for: '1 hour' }` blocks at the 20th refusal within a period.
   *
   * @default the module's
   * @see docs/blocks.md
   */
  block?: BlockOption | undefined;
  /**
   * Time for which a request waits instead of being refused: `'2 seconds'`, or
   * `{ maxWait: '2 seconds', maxQueue: 100 }`; `false` for none.
   *
   * A request waits if every limit that refuses it has this option. Excludes blocks and elastic
   * windows.
   *
   * @default the module's
   * @see docs/queues.md
   */
  wait?: WaitOption | undefined;
  /**
   * `'shadow'` counts and reports, but refuses nothing.
   *
   * @default 'enforce'
   * @see docs/roll-out.md#shadow-mode
   */
  mode?: 'enforce' | 'shadow' | undefined;
  /**
   * Time of counting: before the application's guards, or `'afterAuth'`, in a `RateLimitGuard`
   * that is bound after them.
   *
   * After authentication, `key`, `plan` and `cost` can read the user.
   *
   * @default 'beforeAuth'
   * @see docs/phases.md#after-authentication
   */
  phase?: 'beforeAuth' | 'afterAuth' | undefined;
  /**
   * Outcomes that count: `'failure'`, `'success'`, or all but those for which a function returns
   * `false`.
   *
   * A request is counted at its start, so that concurrent ones cannot exceed the limit, and
   * refunded after an outcome that does not count.
   *
   * @default 'all'
   * @see docs/outcomes.md
   */
  count?: 'all' | 'failure' | 'success' | CountFunction<Context> | undefined;
  /**
   * Handling of a request that the store cannot decide: `'allow'`, `'deny'` (503) or
   * `'fallback'`. Of several policies, the strictest applies.
   *
   * @default the module's
   * @see docs/reliability.md
   */
  onError?: OnError | undefined;
  /**
   * Message of a refusal by this policy: a string, or `(decision, context) => string`.
   *
   * @default the module's
   */
  errorMessage?: string | ErrorMessageFunction<Context> | undefined;
  /**
   * Called when this policy refuses a request: `(decision, context) => …`. It is not awaited.
   *
   * For example to lock an account. An error is logged once.
   *
   * @default the module's
   * @see docs/act-on-refusals.md
   */
  onRefused?: RefusalListener<Context> | undefined;
}

/** Limits and their options. */
export interface PolicyDeclaration<Context, Key = KeyFunction<Context>> extends PolicyOptions<Context, Key> {
  /**
   * One or several limits, for example `'10/minute; 100/hour'` or `['10/minute', '100/hour']`, or a function that returns them; all
   * must allow a request. `'unlimited'` for none. Optional with `plans`: a request without one of these plans then gets the limits
   * of the strictest plan.
   */
  limits?: LimitInput | LimitsFunction<Context> | undefined;
}

/** The declarations of one place: a handler, a class, a rule, or the module. */
export interface PolicyLevel<Context, Key> {
  /** Names the place in errors: `@RateLimit on UsersController.login`. */
  readonly where: string;
  /** The default scope: `'route'`, `'controller'`, `'global'` or `'rule <id>'`. */
  readonly scope: string;
  readonly declarations: readonly PolicyDeclaration<Context, Key>[];
  /** The policies of outer levels that do not apply here: all, or by name. */
  readonly skips: 'all' | readonly string[];
}

/** The ids of a route and of its controller, the same in every process. */
export interface PolicyScopes {
  readonly route: string;
  readonly controller: string;
}

/** The declarations that apply to a route, and the settings of its module. */
export interface PolicyCompilation<Context, Key> {
  /** From the outermost level to the innermost: module, classes, handler. */
  readonly levels: readonly PolicyLevel<Context, Key>[];
  readonly scopes: PolicyScopes;
  readonly defaultStrategy: StrategyName;
  /** The block of declarations that have none. Default: no block. */
  readonly defaultBlock?: BlockOption | undefined;
  /** The wait of declarations that have none. Default: no wait. */
  readonly defaultWait?: WaitOption | undefined;
  /** Where the calendar windows of declarations lie that do not say it. Default: UTC, from 1970. */
  readonly defaultCalendar?: CalendarSource<Context>;
  /** Names of policies of no level, such as those of rules, so that a level may skip them too. */
  readonly otherNames?: readonly string[];
  /** Throws for a limit that the storage cannot keep. */
  readonly assertSupported: (limit: Limit) => void;
}

/** The settlement of a request once its outcome is known. */
export interface PolicySettlement<Context> {
  /** The option that declares it. */
  readonly option: 'count' | 'actualCost';
  /** The function of the application, or that of `'failure'` and `'success'`. */
  readonly actualCost: ActualCostFunction<Context>;
}

/** A compiled declaration; frozen. */
export interface Policy<Context, Key> {
  /** Identifies the policy, the same in every process: its name and scope. */
  readonly id: string;
  readonly name: string;
  /** Names the place of the declaration in errors. */
  readonly where: string;
  readonly strategy: StrategyName;
  readonly mode: 'enforce' | 'shadow';
  /** The limits of a request without a plan, or with a plan that the policy does not have; empty for none. */
  readonly limits: readonly Limit[];
  /** The limits by plan. */
  readonly plans: ReadonlyMap<string, readonly Limit[]> | undefined;
  /** Returns the limits of a request, instead of `limits`. */
  readonly limitsFor: ((context: Context) => Awaitable<readonly Limit[]>) | undefined;
  /** Compiles limits as if the function had returned them; absent if the policy has no function. */
  readonly compileLimits: ((given: GivenLimits) => readonly Limit[]) | undefined;
  /** Functions that find where the calendar windows of a request lie; absent if that is the same for all requests. */
  readonly calendar:
    | {
        readonly timeZone: CalendarFunction<Context> | undefined;
        readonly anchor: CalendarFunction<Context> | undefined;
      }
    | undefined;
  readonly key: Key | undefined;
  readonly cost: number | ((context: Context) => Awaitable<number>);
  readonly skip: ((context: Context) => Awaitable<boolean>) | undefined;
  readonly phase: 'beforeAuth' | 'afterAuth';
  /** Returns the actual cost by outcome; absent if every request counts its cost. */
  readonly settlement: PolicySettlement<Context> | undefined;
  readonly onError: OnError | undefined;
  readonly errorMessage: string | ErrorMessageFunction<Context> | undefined;
  readonly onRefused: RefusalListener<Context> | undefined;
  /** Equal for policies that count a request in the same way, apart from its identity; also in another copy of this library. */
  readonly fingerprint: string;
}
