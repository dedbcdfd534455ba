import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { announceReturn } from './returned-units.js';
import {
  assertCost,
  receiptOf,
  settlementOf,
  type BatchResult,
  type Outcome,
  type Receipt,
} from './contract.js';
import type { Storage } from './storage.js';

/**
 * The current cost of one admitted hit. Shared by all decisions, phases and events that hold its
 * outcome.
 */
interface Charge {
  receipt: Receipt;
  /** True after a settlement by hand, which is final: settlements by outcome are then ignored. */
  isSettledByHand: boolean;
  /** The last settlement of the hit. Settlements of one hit run one after another. */
  turn: Promise<unknown> | undefined;
}

/** A new cost for one outcome. */
export interface OutcomeChange {
  readonly outcome: Outcome;
  /** Units that the hit should count. */
  readonly actual: number;
}

/** Outcomes after a settlement. */
export interface SettledOutcomes {
  /** The storage's clock at the settlement, in epoch ms. */
  readonly now: number;
  /** The new outcomes, by the previous ones. */
  readonly outcomes: ReadonlyMap<Outcome, Outcome>;
}

interface ChargeChange extends OutcomeChange {
  readonly charge: Charge;
}

/** Charges by outcome, shared by every copy of this package (CommonJS next to ES modules). */
const charges = sharedMap();

/**
 * Throws for a cost that an outcome cannot be settled to.
 *
 * @throws RangeError
 */
export function assertSettleable({ limit }: Outcome, cost: number): void {
  assertCost(cost);
  if (limit.strategy === 'token-bucket' && !Number.isSafeInteger(cost * limit.period))
    throw new RangeError(
      `The cost of a hit on the token bucket "${limit.name}" must be at most ${Math.floor(Number.MAX_SAFE_INTEGER / limit.period)}; got ${cost}.`,
    );
}

/** Returns the receipt of an outcome with its current cost; `undefined` if it took nothing. */
export function currentReceipt(result: BatchResult, outcome: Outcome): Receipt | undefined {
  return chargeOf(result, outcome)?.receipt;
}

/**
 * Settles outcomes of a batch to their actual costs, in one call of the storage. Settlements of one
 * outcome run in the order of the calls. A settlement by outcome after one by hand does nothing. If
 * the storage fails, the lower of both costs is recorded, so that a later settlement never returns
 * too much.
 *
 * @returns the new outcomes by the previous ones, and the time of the storage
 * @throws RangeError for a cost that is not a whole number from 0, or too large for a token bucket
 */
export function settleOutcomes(
  storage: Storage,
  result: BatchResult,
  changes: readonly OutcomeChange[],
  by: 'hand' | 'outcome',
): Awaitable<SettledOutcomes> {
  for (const { outcome, actual } of changes) assertSettleable(outcome, actual);
  const charged = changes.flatMap(({ outcome, actual }) => {
    const charge = chargeOf(result, outcome);
    return charge === undefined ? [] : [{ outcome, charge, actual }];
  });
  if (by === 'hand') for (const { charge } of charged) charge.isSettledByHand = true;
  const settle = (): Awaitable<SettledOutcomes> =>
    settleCharges(
      storage,
      result.now,
      by === 'hand' ? charged : charged.filter(({ charge }) => !charge.isSettledByHand),
    );
  const turns = charged.flatMap(({ charge }) => charge.turn ?? []);
  const settled = turns.length === 0 ? settle() : Promise.allSettled(turns).then(settle);
  if (isPromise(settled)) takeTurn(charged, settled);
  return settled;
}

function settleCharges(
  storage: Storage,
  now: number,
  changes: readonly ChargeChange[],
): Awaitable<SettledOutcomes> {
  if (changes.length === 0) return { now, outcomes: new Map() };
  const lost = (error: unknown): never => {
    for (const { charge, actual } of changes)
      charge.receipt = { ...charge.receipt, cost: Math.min(charge.receipt.cost, actual) };
    throw error;
  };
  const returned = changes.filter(({ charge, actual }) => actual < charge.receipt.cost);
  const answer = storage.settle(changes.map(({ charge, actual }) => settlementOf(charge.receipt, actual)));
  return chain(isPromise(answer) ? answer.catch(lost) : answer, (settled) => {
    const outcomes = new Map<Outcome, Outcome>();
    changes.forEach(({ outcome, charge, actual }, index) => {
      const after = settled.outcomes[index];
      charge.receipt = { ...settledReceipt(charge.receipt), cost: actual, window: after?.window };
      if (after === undefined) return;
      charges.set(after, charge);
      outcomes.set(outcome, after);
    });
    if (returned.length > 0)
      announceReturn(
        storage,
        returned.map(({ outcome }) => outcome),
      );
    return { now: settled.now, outcomes };
  });
}

/** Returns a receipt without `pending`, since it is now known whether the hit counts. */
function settledReceipt({ pending: _pending, ...receipt }: Receipt): Receipt {
  return receipt;
}

function takeTurn(charged: readonly { readonly charge: Charge }[], settled: Promise<unknown>): void {
  const turn = settled.catch(() => undefined); // its caller handles the error
  for (const { charge } of charged) charge.turn = turn;
  void turn.then(() => {
    for (const { charge } of charged) if (charge.turn === turn) charge.turn = undefined;
  });
}

function chargeOf(result: BatchResult, outcome: Outcome): Charge | undefined {
  const known = charges.get(outcome);
  if (known !== undefined) return known;
  const receipt = receiptOf(result, outcome);
  if (receipt === undefined) return undefined;
  const charge: Charge = { receipt, isSettledByHand: false, turn: undefined };
  charges.set(outcome, charge);
  return charge;
}

function sharedMap(): WeakMap<Outcome, Charge> {
  const key = Symbol.for('nestjs-limits:charges');
  const holder = globalThis as { [key]?: WeakMap<Outcome, Charge> };
  return (holder[key] ??= new WeakMap());
}
