import type { Attributes } from '@opentelemetry/api';
import type { BatchResult, Outcome } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';

/** What a limit said to a hit. */
type Verdict = 'allowed' | 'refused' | 'would_refuse';

/** How a hit was decided without the store. */
type Degraded = 'none' | NonNullable<BatchResult['degraded']>;

/** What became of units: taken by a hit, returned by a settlement, or charged above the reservation. */
type UnitKind = 'taken' | 'returned' | 'overrun';

/** A value with its attributes. */
export type Point = readonly [value: number, attributes: Attributes];

/** Largest number of limits with counts of their own. Further ones are counted together. The SDK keeps 2,000 series. */
const MAX_LIMITS = 1000;

/** The policy, limit and strategy of limits that are counted together. */
const OTHER = 'other';

/** The decisions and units of one limit since the start of the process. */
class LimitCounts {
  readonly #decisions: Readonly<Record<Degraded, Record<Verdict, number>>> = {
    none: noDecisions(),
    fallback: noDecisions(),
    allow: noDecisions(),
  };
  readonly #units: Record<UnitKind, number> = { taken: 0, returned: 0, overrun: 0 };

  constructor(
    private readonly policy: string,
    private readonly limit: string,
    private readonly strategy: string,
  ) {}

  decide({ allowed, limit, taken, cost }: Outcome, degraded: Degraded): void {
    const refusal = limit.mode === 'shadow' ? 'would_refuse' : 'refused';
    this.#decisions[degraded][allowed ? 'allowed' : refusal]++;
    if (taken) this.#units.taken += cost;
  }

  settle(before: number, after: number): void {
    if (after < before) this.#units.returned += before - after;
    else this.#units.overrun += after - before;
  }

  *decisions(): Generator<Point> {
    const { policy, limit, strategy } = this;
    for (const [degraded, verdicts] of Object.entries(this.#decisions))
      for (const [outcome, count] of Object.entries(verdicts))
        if (count > 0) yield [count, { policy, limit, strategy, outcome, degraded }];
  }

  *units(): Generator<Point> {
    const { policy, limit } = this;
    for (const [kind, units] of Object.entries(this.#units))
      if (units > 0) yield [units, { policy, limit, kind }];
  }
}

/**
 * The counts of all limits. A hit adds to a plain number: the SDK hashes attributes only when it
 * collects them.
 */
export class LimitTable {
  readonly #counts = new Map<string, LimitCounts>();
  readonly #byLimit = new WeakMap<Limit, LimitCounts>();
  readonly #others = new LimitCounts(OTHER, OTHER, OTHER);

  countsOf(limit: Limit): LimitCounts {
    let counts = this.#byLimit.get(limit);
    if (counts === undefined) {
      counts = this.#findOrAdd(limit);
      this.#byLimit.set(limit, counts);
    }
    return counts;
  }

  *all(): Generator<LimitCounts> {
    yield* this.#counts.values();
    yield this.#others;
  }

  #findOrAdd({ policy, name, strategy }: Limit): LimitCounts {
    const key = JSON.stringify([policy, name, strategy]);
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    if (this.#counts.size >= MAX_LIMITS) return this.#others;
    const counts = new LimitCounts(policy, name, strategy);
    this.#counts.set(key, counts);
    return counts;
  }
}

function noDecisions(): Record<Verdict, number> {
  return { allowed: 0, refused: 0, would_refuse: 0 };
}
