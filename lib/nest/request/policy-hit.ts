import { createLimit, type Limit, type LimitWait } from '../../core/limit.js';
import type { Hit } from '../../core/contract.js';
import type { RoutePolicy } from '../routes/route-policy.js';

/** A hit and its policy. */
export interface PolicyHit extends Hit {
  readonly policy: RoutePolicy;
  /** Other policies with the same cell, if hits were merged. */
  readonly sharedWith?: readonly RoutePolicy[];
}

/** Returns all policies of a hit. */
export function policiesOf({ policy, sharedWith = [] }: PolicyHit): readonly RoutePolicy[] {
  return [policy, ...sharedWith];
}

/**
 * Merges hits on the same cell, for example of several rules with the same scope, since a batch
 * names each cell once. Uses the strictest settings and the highest cost.
 */
export function mergeSameCell(hits: readonly PolicyHit[]): PolicyHit[] {
  const distinct: PolicyHit[] = [];
  for (const hit of hits) {
    const index = distinct.findIndex(
      ({ identity, limit }) => limit.id === hit.limit.id && identity === hit.identity,
    );
    const other = distinct[index];
    if (other === undefined) distinct.push(hit);
    else distinct[index] = merge(other, hit);
  }
  return distinct;
}

function merge(one: PolicyHit, other: PolicyHit): PolicyHit {
  const [stricter, looser] = isStricter(other.limit, one.limit) ? [other, one] : [one, other];
  return {
    ...stricter,
    limit: strictest(stricter.limit, looser.limit),
    cost: Math.max(one.cost, other.cost),
    sharedWith: [...(stricter.sharedWith ?? []), looser.policy, ...(looser.sharedWith ?? [])],
  };
}

/**
 * Compares two limits by mode, then amount, then burst. Returns true if the first one is stricter.
 */
function isStricter(one: Limit, other: Limit): boolean {
  if (one.mode !== other.mode) return one.mode === 'enforce';
  return one.amount === other.amount ? one.burst < other.burst : one.amount < other.amount;
}

/** Cache of {@link strictest}: by the stricter limit, then by the looser one. */
const made = new WeakMap<Limit, WeakMap<Limit, Limit>>();

/** Returns the stricter limit, with the smaller burst, the longer blocks and the shorter wait of both. */
function strictest(stricter: Limit, looser: Limit): Limit {
  if (stricter === looser || stricter.mode !== looser.mode) return stricter;
  const known = made.get(stricter)?.get(looser);
  if (known !== undefined) return known;
  const burst = Math.min(stricter.burst, looser.burst);
  const { block, blockAfter } = blocksLonger(looser, stricter) ? looser : stricter;
  // A refund would also undo the hit of a policy that counts every request.
  const refundable = stricter.refundable && looser.refundable;
  const wait = shorterWait(stricter.wait, looser.wait);
  const hasBurst = stricter.strategy === 'token-bucket' && stricter.amount > 0;
  const limit = createLimit({
    ...stricter,
    burst: hasBurst ? burst : undefined,
    block,
    blockAfter,
    refundable,
    wait,
  });
  const others = made.get(stricter) ?? new WeakMap<Limit, Limit>();
  made.set(stricter, others.set(looser, limit));
  return limit;
}

function shorterWait(one: LimitWait | undefined, other: LimitWait | undefined): LimitWait | undefined {
  if (one === undefined || other === undefined) return undefined;
  return {
    maxWait: Math.min(one.maxWait, other.maxWait),
    maxQueue: Math.min(one.maxQueue, other.maxQueue),
  };
}

/** Compares two limits by their longest blocks, then by the refusals after which they block. */
function blocksLonger(one: Limit, other: Limit): boolean {
  return longest(one) === longest(other) ? one.blockAfter < other.blockAfter : longest(one) > longest(other);
}

function longest({ block }: Limit): number {
  return Math.max(0, ...block);
}
