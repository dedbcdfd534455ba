import { describeValue } from '../common/describe.js';
import type { Evaluation } from '../strategies/evaluate.js';
import type { Consumption, StrategyName } from '../strategies/strategy.js';
import type { Limit } from './limit.js';

/** Where one identity's use of one limit is counted. */
export interface Cell {
  /** The identity. All limits of one identity share its bucket. */
  readonly identity: string;
  /** What is counted of it. */
  readonly limit: Limit;
}

/** One entry of a batch: a hit on a cell. A batch has at least one, and names each cell at most once. */
export interface Hit extends Cell {
  /** Units to take; a whole number. 0 is always allowed and changes nothing. */
  readonly cost: number;
}

/** What became of one hit. */
export interface Outcome extends Hit, Evaluation {
  /** Names the window the cost was taken from; `undefined` when nothing was taken. */
  readonly window: number | undefined;
  /**
   * Epoch ms at which the cost was taken from it, where that was before the batch was decided: permits may be taken in advance,
   * and parts of a batch one after the other.
   */
  readonly takenAt?: number;
}

/** What to give back: exactly what one consumption took, or, where there is no receipt, so much of the current window. */
export type Refund = Receipt | (Hit & { readonly window: 'current' });

/** Proof of one consumption. Good for one refund. */
export interface Receipt extends Hit, Consumption {}

/** A block made by hand. */
export interface Block extends Cell {
  /** Ms from now, at most the longest duration of the limit's own blocks; 0 lifts the block. */
  readonly duration: number;
}

/** What became of a batch. */
export interface BatchResult {
  /** Whether every enforced limit allowed its hit; only then were the allowed costs taken. */
  readonly allowed: boolean;
  /** The reading of the storage's clock that decided, in epoch ms. */
  readonly now: number;
  /** One per hit, in the batch's order. */
  readonly outcomes: readonly Outcome[];
  /** What decided while the store could not: nothing, or a count of this process alone. */
  readonly degraded?: 'allow' | 'fallback';
}

/** What a storage can do. */
export interface StorageCapabilities {
  /** How much of a batch is decided in one atomic step; what spans more is reserved in parts and refunded on refusal. */
  readonly atomicity: 'batch' | 'identity' | 'limit';
  /** Whose clock decides. */
  readonly clock: 'local' | 'server';
  /** What it can count by; a limit of another strategy is a `ConfigurationError`. */
  readonly strategies: readonly StrategyName[];
  /** The largest amount of a moving window. */
  readonly maxMovingWindow: number;
}

/** The receipts of what a batch consumed; none, when it was refused. */
export function receiptsOf({ now, outcomes }: BatchResult): Receipt[] {
  return outcomes.flatMap(({ identity, limit, cost, window, takenAt = now }) =>
    window === undefined ? [] : [{ identity, limit, cost, at: takenAt, window }],
  );
}

/** A hit without what else whoever asked knows of it: outcomes are shown to applications. */
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
