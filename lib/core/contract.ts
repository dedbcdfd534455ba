import { describeValue } from '../common/describe.js';
import { StorageError } from '../common/errors.js';
import type { Consumption, Evaluation, StrategyName } from '../strategies/strategy.js';
import type { Limit } from './limit.js';

/** The place where one limit is counted for one identity. */
export interface Cell {
  /**
   * The identity that is counted: a client, a user, a tenant. All limits of one identity can be
   * decided together.
   */
  readonly identity: string;
  /** The limit that is counted. */
  readonly limit: Limit;
}

/**
 * One entry of a batch: a hit on a cell. A batch has at least one, and names each cell at most
 * once.
 */
export interface Hit extends Cell {
  /**
   * Units to take, a whole number. A cost of 0 takes nothing and is refused only by a block; it can
   * be settled to more later.
   */
  readonly cost: number;
}

/** The result of one hit. */
export interface Outcome extends Hit, Evaluation {
  /** True if the hit was taken, including one of cost 0. Such a hit can be settled. */
  readonly taken: boolean;
  /** The window that the cost was taken from; `undefined` if no unit was taken. */
  readonly window: number | undefined;
  /** True if a block refused the hit, or began with it. */
  readonly blocked?: true;
  /**
   * Epoch ms at which the cost was taken, if earlier than the decision. A lease takes permits in
   * advance, and the parts of a batch may be decided one after another.
   */
  readonly takenAt?: number;
}

/**
 * Proof of a hit that was taken. Its `cost` is what the hit counts now. Valid for one settlement,
 * which returns the next receipt.
 */
export interface Receipt extends Hit, Consumption {
  /** True if the limit blocks and it is not yet known whether the hit counts. */
  readonly pending?: boolean;
}

/** Sets the actual cost of a hit, or returns units to the current window without a receipt. */
export type Settlement = (Receipt | (Hit & { readonly window: 'current' })) & {
  /**
   * Units that the hit should count, a whole number. May exceed the limit, which is then in debt.
   */
  readonly actual: number;
};

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
  /**
   * How the batch was decided without the store: not counted (`'allow'`), or counted in this
   * process (`'fallback'`).
   */
  readonly degraded?: 'allow' | 'fallback';
}

/** The properties of a storage that callers depend on. */
export interface StorageCapabilities {
  /**
   * The largest part of a batch that is decided in one atomic step. A batch that spans more is
   * consumed in parts, which are refunded if one of them refuses.
   */
  readonly atomicity: 'batch' | 'identity' | 'limit';
  /** The clock that decides: the clock of this process or of the server. */
  readonly clock: 'local' | 'server';
  /** The supported strategies. A limit with another one is a `ConfigurationError`. */
  readonly strategies: readonly StrategyName[];
  /** The largest amount of a moving window, and of concurrent requests. */
  readonly maxMovingWindow: number;
}

/** Returns true for an outcome that refuses its batch. */
export function refuses({ allowed, limit }: Outcome): boolean {
  return !allowed && limit.mode === 'enforce';
}

/** Returns the outcome of a batch with a single hit. */
export function onlyOutcome({ outcomes }: BatchResult): Outcome {
  const [outcome] = outcomes;
  if (outcome === undefined) throw new StorageError('The storage returned no outcome for a hit.');
  return outcome;
}

/** Returns the receipts of a batch; an empty list if it was refused. */
export function receiptsOf(result: BatchResult): Receipt[] {
  return result.outcomes.flatMap((outcome) => receiptOf(result, outcome) ?? []);
}

/** Returns the receipt of one outcome of a batch; `undefined` if it took nothing. */
export function receiptOf({ now }: BatchResult, outcome: Outcome): Receipt | undefined {
  const { identity, limit, cost, taken, window, takenAt = now } = outcome;
  if (!taken) return undefined;
  const receipt = { identity, limit, cost, at: takenAt, window };
  return limit.refundable && limit.block.length > 0 ? { ...receipt, pending: true } : receipt;
}

/** Returns the settlement of a receipt. */
export function settlementOf(
  { identity, limit, cost, at, window, pending }: Receipt,
  actual: number,
): Settlement {
  // A copy by spread, with one property more, takes several times as long.
  const settlement = { identity, limit, cost, at, window, actual };
  return pending === true ? { ...settlement, pending } : settlement;
}

/** Settles receipts to 0, so that their hits do not count. */
export function withdrawn(receipts: readonly Receipt[]): Settlement[] {
  return receipts.map((receipt) => settlementOf(receipt, 0));
}

/**
 * Copies the hit without extra properties of the caller's object, since applications see outcomes.
 */
export function bareHit({ identity, limit, cost }: Hit): Hit {
  return { identity, limit, cost };
}

/** How to decide a hit when the store fails: allow it, count it in this process, or throw. */
export type OnError = 'allow' | 'fallback' | 'deny';

export const ON_ERROR: readonly OnError[] = ['allow', 'fallback', 'deny'];

/** Returns the strictest of several modes. */
export function strictest(modes: readonly OnError[]): OnError | undefined {
  return ON_ERROR.findLast((mode) => modes.includes(mode));
}

/**
 * Throws for a cost that is not a whole number from 0.
 *
 * @throws RangeError
 */
export function assertCost(cost: unknown): asserts cost is number {
  if (!Number.isSafeInteger(cost) || (cost as number) < 0) {
    throw new RangeError(`The cost of a hit must be a whole number from 0; got ${describeValue(cost)}.`);
  }
}
