import { createLimit, type Limit } from '../../core/limit.js';
import type { Hit } from '../../core/contract.js';
import type { RoutePolicy } from '../routes/route-policy.js';

/** A hit, and the policy that it is for. */
export interface PolicyHit extends Hit {
  readonly policy: RoutePolicy;
  /** Other policies that it is for, which share the cell. */
  readonly sharedWith?: readonly RoutePolicy[];
}

/** All policies that a hit is for. */
export function policiesOf({ policy, sharedWith = [] }: PolicyHit): readonly RoutePolicy[] {
  return [policy, ...sharedWith];
}

/**
 * A batch names each cell once. Policies that share a cell, such as those of several rules of one scope, are one hit on it: by what
 * is strictest of each, at the highest cost.
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

/** Whether one limit refuses earlier than another: one that is enforced, of the smaller amount, of the smaller burst. */
function isStricter(one: Limit, other: Limit): boolean {
  if (one.mode !== other.mode) return one.mode === 'enforce';
  return one.amount === other.amount ? one.burst < other.burst : one.amount < other.amount;
}

/** Limits made of two: of the stricter one by the looser one. */
const made = new WeakMap<Limit, WeakMap<Limit, Limit>>();

/** The stricter limit, with what is stricter of the looser one. */
function strictest(stricter: Limit, looser: Limit): Limit {
  if (stricter === looser || stricter.mode !== looser.mode) return stricter;
  const known = made.get(stricter)?.get(looser);
  if (known !== undefined) return known;
  const burst = Math.min(stricter.burst, looser.burst);
  const block = longest(looser) > longest(stricter) ? looser.block : stricter.block;
  // What one of them counts in any case is never given back.
  const refundable = stricter.refundable && looser.refundable;
  const hasBurst = stricter.strategy === 'token-bucket' && stricter.amount > 0;
  const limit = createLimit({ ...stricter, burst: hasBurst ? burst : undefined, block, refundable });
  const others = made.get(stricter) ?? new WeakMap<Limit, Limit>();
  made.set(stricter, others.set(looser, limit));
  return limit;
}

function longest({ block }: Limit): number {
  return Math.max(0, ...block);
}
