import { describeValue } from '../common/describe.js';
import type { Evaluation } from '../strategies/evaluate.js';
import type { Consumption, StrategyName } from '../strategies/strategy.js';
import type { Limit } from './limit.js';

/** The place where one limit is counted for one identity. */
export interface Cell {
  /** The identity that is counted: a client, a user, a tenant. All limits of one identity can be decided together. */
  readonly identity: string;
  /** The limit that is counted. */
  readonly limit: Limit;
}

/** One entry of a batch: a hit on a cell. A batch has at least one, and names each cell at most once. */
export interface Hit extends Cell {
  /** Units to take, a whole number. A cost of 0 is always allowed and changes nothing. */
  readonly cost: number;
}

/** The result of one hit. */
export interface Outcome extends Hit, Evaluation {
  /** The window that the cost was taken from; `undefined` if nothing was taken. */
  readonly window: number | undefined;
  /**
   * Epoch ms at which the cost was taken, if earlier than the decision: a lease takes permits in advance, and the parts of a
   * batch may be decided one after another.
   */
  readonly takenAt?: number;
}

/** A refund: of one consumption, by its receipt, or of a cost from the current window. */
export type Refund = Receipt | (Hit & { readonly window: 'current' });

/** Proof of one consumption. Valid for one refund. */
export interface Receipt extends Hit, Consumption {}

/** A block set by hand. */
export interface Block extends Cell {
  /** Ms from now, at most the longest duration of the limit's own blocks; 0 lifts the block. */
  readonly duration: number;
}

/** The result of a batch. */
export interface BatchResult {
  /** True if every enforced limit allowed its hit; only then are the allowed costs taken. */
  readonly allowed: boolean;
  /** The storage's clock at the decision, in epoch ms. */
  readonly now: number;
  /** One per hit, in the batch's order. */
  readonly outcomes: readonly Outcome[];
  /** How the batch was decided without the store: not counted (`'allow'`), or counted in this process (`'fallback'`). */
  readonly degraded?: 'allow' | 'fallback';
}

/** The properties of a storage that callers depend on. */
export interface StorageCapabilities {
  /** The largest part of a batch decided in one atomic step. A batch that spans more is reserved in parts and refunded if one refuses. */
  readonly atomicity: 'batch' | 'identity' | 'limit';
  /** The clock that decides: this process's or the server's. */
  readonly clock: 'local' | 'server';
  /** The strategies it supports; a limit with another one is a `ConfigurationError`. */
  readonly strategies: readonly StrategyName[];
  /** The largest amount of a moving window. */
  readonly maxMovingWindow: number;
}

/** Returns the receipts of a batch; none if it was refused. */
export function receiptsOf({ now, outcomes }: BatchResult): Receipt[] {
  return outcomes.flatMap(({ identity, limit, cost, window, takenAt = now }) =>
    window === undefined ? [] : [{ identity, limit, cost, at: takenAt, window }],
  );
}

/** Copies a hit without further properties of the caller's object, since applications see outcomes. */
export function bareHit({ identity, limit, cost }: Hit): Hit {
  return { identity, limit, cost };
}

/** What becomes of a hit that the store cannot decide: it passes, fails, or is counted by this process alone. */
export type OnError = 'allow' | 'fallback' | 'deny';

export const ON_ERROR: readonly OnError[] = ['allow', 'fallback', 'deny'];

/** Of several the strictest. */
export function strictest(modes: readonly OnError[]): OnError | undefined {
  return ON_ERROR.findLast((mode) => modes.includes(mode));
}

/**
 * Refuses a cost that is not a whole number from 0.
 *
 * @throws RangeError
 */
export function assertCost(cost: unknown): asserts cost is number {
  if (!Number.isSafeInteger(cost) || (cost as number) < 0) {
    throw new RangeError(`The cost of a hit must be a whole number from 0; got ${describeValue(cost)}.`);
  }
}
