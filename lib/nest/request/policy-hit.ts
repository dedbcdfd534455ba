import { createLimit, type Limit } from '../../storages/limit.js';
import type { Hit } from '../../storages/contract.js';
import type { RoutePolicy } from '../routes/route-policy.js';

/** A hit, and the policy that it is for. */
export interface PolicyHit extends Hit {
  readonly policy: RoutePolicy;
  /** Other policies that it is for, which share the cell. */
  readonly besides?: readonly RoutePolicy[];
}

/** All policies that a hit is for. */
export function policiesOf({ policy, besides = [] }: PolicyHit): readonly RoutePolicy[] {
  return [policy, ...besides];
}

/**
 * A batch names each cell once. Policies that share a cell, such as those of several rules of one scope, are one hit on it: by what
 * is strictest of each, at the highest cost.
 */
export function onePerCell(hits: readonly PolicyHit[]): PolicyHit[] {
  const distinct: PolicyHit[] = [];
  for (const hit of hits) {
    const index = distinct.findIndex(
      ({ bucket, limit }) => limit.id === hit.limit.id && bucket === hit.bucket,
    );
    const other = distinct[index];
    if (other === undefined) distinct.push(hit);
    else distinct[index] = together(other, hit);
  }
  return distinct;
}

function together(one: PolicyHit, other: PolicyHit): PolicyHit {
  const [stricter, looser] = isStricter(other.limit, one.limit) ? [other, one] : [one, other];
  return {
    ...stricter,
    limit: strictest(stricter.limit, looser.limit),
    cost: Math.max(one.cost, other.cost),
    besides: [...(stricter.besides ?? []), looser.policy, ...(looser.besides ?? [])],
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
  const provisional = stricter.provisional && looser.provisional;
  const hasBurst = stricter.strategy === 'token-bucket' && stricter.amount > 0;
  const limit = createLimit({ ...stricter, burst: hasBurst ? burst : undefined, block, provisional });
  const others = made.get(stricter) ?? new WeakMap<Limit, Limit>();
  made.set(stricter, others.set(looser, limit));
  return limit;
}

function longest({ block }: Limit): number {
  return Math.max(0, ...block);
}
