/** The messages between the console's server and its page, as JSON. Times are epoch ms unless a name says seconds. */

/** The process that a console shows. */
export interface ProcessView {
  readonly host: string;
  readonly pid: number;
  readonly started: number;
}

/** A limit of a policy. */
export interface LimitView {
  readonly name: string;
  /** `'10 per minute'`, `'5 at once'`. */
  readonly text: string;
  /** The plan that has it; absent for requests without a plan. */
  readonly plan?: string;
}

/** The declaration of a policy. */
export interface PolicyView {
  /** Number of the policy in this process. */
  readonly id: number;
  readonly name: string;
  /** The place of the declaration; `'by hand'` for limits of code. */
  readonly where: string;
  readonly limits: readonly LimitView[];
  readonly strategy: string;
  /** The kinds of identities; empty if unknown. */
  readonly key: readonly string[];
  readonly mode: 'enforce' | 'shadow' | 'mixed';
  /** The routes whose counts are separate, for look-ups; empty for limits of code, which cannot be looked up. */
  readonly routes: readonly string[];
  readonly plans: readonly string[];
  /** True if a function returns the limits of a request, so that a look-up must give them. */
  readonly needsLimits: boolean;
  /** The positions of calendar windows that functions find for each request, so that a look-up must give them. */
  readonly needsPosition: readonly ('timeZone' | 'anchor')[];
  /** The longest block, `'15 minutes'`; absent if the policy has none. */
  readonly longestBlock?: string;
}

/** Counts of one second, or of ten minutes. */
export interface Counts {
  readonly requests: number;
  readonly refused: number;
  /** Requests that a limit in shadow mode would have refused. */
  readonly shadow: number;
}

/** Counts per second, the newest last, without leading zeros. */
export interface SeriesView {
  readonly requests: readonly number[];
  readonly refused: readonly number[];
  readonly shadow: readonly number[];
}

/** An error of the store. */
export interface ErrorView {
  /** The message, with the remedy if it is known. */
  readonly message: string;
  /** The time of the last one. */
  readonly at: number;
  readonly count: number;
}

/** The state of the store. */
export interface StoreView {
  /** The storage, without credentials. */
  readonly name: string;
  readonly circuit: 'closed' | 'open';
  /** How requests are decided while the circuit is open; absent if they fail with the error of the store. */
  readonly onError?: string;
  /** The time since which requests are decided without the store. */
  readonly degradedSince?: number;
  /** Requests that were decided without the store since the start: let through, and counted in this process. */
  readonly allowed: number;
  readonly fallback: number;
  /** Slots of concurrent requests that this process holds now, and its requests that wait for a limit. */
  readonly slots: number;
  readonly waiting: number;
  /** Calls of the last ten minutes, and their durations in ms. */
  readonly calls: {
    readonly count: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
  };
  readonly errors: readonly ErrorView[];
}

/** The first event of a stream: everything. */
export interface SnapshotMessage {
  readonly process: ProcessView;
  /** The newest second of the series, in epoch seconds. */
  readonly second: number;
  readonly policies: readonly PolicyView[];
  readonly total: SeriesView;
  /** By number of the policy; absent for one without requests. */
  readonly series: Readonly<Record<number, SeriesView>>;
  readonly store: StoreView;
}

/** One event per second. */
export interface TickMessage {
  readonly second: number;
  readonly total: Counts;
  /** The policies that counted requests in this second, by number. */
  readonly counts: Readonly<Record<number, Counts>>;
  readonly store: StoreView;
}

/** A limit, and how often it has refused since the start. */
export interface LimitRefusals {
  readonly name: string;
  readonly text: string;
  readonly mode: 'enforce' | 'shadow';
  readonly refusals: number;
}

/** An identity that was refused often. */
export interface RefusedIdentity {
  readonly identity: string;
  /** Refusals since the start; at most `error` too high. */
  readonly count: number;
  readonly error: number;
}

/** One event per second of a stream of one policy. */
export interface PolicyMessage {
  readonly limits: readonly LimitRefusals[];
  /** Refusals of identities since the start. */
  readonly refusals: number;
  readonly identities: readonly RefusedIdentity[];
}

/** An action of an operator on an identity. */
export interface IdentityRequest {
  readonly action: 'look-up' | 'clear' | 'block' | 'unblock';
  /** Number of the policy. */
  readonly policy: number;
  /** As the console lists it, `'ip:203.0.113.7'`, or the value of the policy's key. */
  readonly identity: string;
  readonly route?: string;
  readonly plan?: string;
  readonly limits?: string;
  /** Where the calendar windows of the identity lie. */
  readonly timeZone?: string;
  readonly anchor?: string;
  /** Of a block. Default: the first of the policy. */
  readonly duration?: string;
}

/** The state of a limit for an identity. */
export interface LimitState {
  readonly name: string;
  readonly text: string;
  readonly remaining: number;
  readonly burst: number;
  readonly allowed: boolean;
  readonly blocked: boolean;
  /** Epoch ms at which more is left; absent if nothing is consumed. */
  readonly resetTime?: number;
  /** Ms until a request is allowed; absent if that is not known, or never. */
  readonly retryAfter?: number;
}

/** The state of an identity after an action. */
export interface IdentityState {
  readonly identity: string;
  readonly allowed: boolean;
  readonly limits: readonly LimitState[];
}
