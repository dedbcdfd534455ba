import { deepEqual } from 'node:assert/strict';
import { consumeBatch, peekBatch, refundBatch } from '../../../storages/apply-batch.js';
import { receiptsOf, type BatchResult, type Cell, type Hit, type Refund } from '../../../core/contract.js';
import type { CreateLimitOptions, Limit } from '../../../core/limit.js';
import { strategyNames } from '../../../strategies/strategies.js';
import type { StrategyName } from '../../../strategies/strategy.js';
import { CasesOf } from '../define-cases.js';
import { Random } from '../random.js';
import { ReferenceCells } from '../reference-cells.js';
import { limitOf, MINUTE, seen, type Scenario } from '../scenario.js';

const topic = new CasesOf('random traces');

const IDENTITY = 'conformance/random';

for (const seed of [1, 2]) {
  topic.add(
    `answers a random trace as the pure strategies do (seed ${seed})`,
    strategyNames,
    async (scenario) => {
      const trace = new Trace(scenario, new Random(seed));
      for (let step = 0; step < 200; step++) await trace.step(step);
    },
  );
}

topic.addPerStrategy(
  'returns the results of the pure strategy for a random trace of one cell',
  async (scenario, strategy) => {
    const trace = new Trace(scenario, new Random(4), [plansOf(strategy, [7, 3, 5])]);
    for (let step = 0; step < 200; step++) await trace.step(step);
  },
);

/** Makes the same random calls to a storage and to the pure steps, and compares every result. */
class Trace {
  readonly #reference = new ReferenceCells();
  /** Receipts that can be refunded: those of the storage, and those of the reference for the same hits. */
  #receipts: { storage: Refund[]; reference: Refund[] }[] = [];

  constructor(
    private readonly scenario: Scenario,
    private readonly random: Random,
    /** The limits that share each cell. */
    private readonly plans: readonly (readonly Limit[])[] = mixedPlans(),
  ) {}

  async step(step: number): Promise<void> {
    this.#moveClock();
    if (this.random.chance(80)) await this.#consume(step);
    else if (this.random.chance(50)) await this.#peek(step);
    else if (this.random.chance(80)) await this.#refund();
    else await this.#removeAll(this.#randomLimits());
  }

  async #consume(step: number): Promise<void> {
    const batch = this.#randomBatch();
    await this.#removeDoubtful(batch);
    const result = await this.scenario.consume(batch);
    const expected = consumeBatch(this.#reference, batch, this.scenario.clock.now());
    this.#share(batch);
    this.#compare(`consume ${step}`, batch, result, expected);
    this.#receipts.push({ storage: receiptsOf(result), reference: receiptsOf(expected) });
  }

  async #peek(step: number): Promise<void> {
    const batch = this.#randomBatch();
    await this.#removeDoubtful(batch);
    const expected = peekBatch(this.#reference, batch, this.scenario.clock.now());
    this.#compare(`peek ${step}`, batch, await this.scenario.peek(batch), expected);
  }

  /** Refunds a receipt, or a few units of the current windows. */
  async #refund(): Promise<void> {
    const current = this.#randomBatch().map((hit): Refund => ({ ...hit, window: 'current' }));
    const [receipts] = this.random.chance(70)
      ? this.#receipts.splice(this.random.below(this.#receipts.length), 1)
      : [];
    const { storage, reference } = receipts ?? { storage: current, reference: current };
    await this.#removeDoubtful(reference);
    await this.scenario.refund(storage);
    refundBatch(this.#reference, reference, this.scenario.clock.now());
    this.#share(reference);
  }

  /**
   * Notes which limits hit a cell, since a storage must keep the cell for each of them. A blocked
   * hit changes nothing.
   */
  #share(hits: readonly Hit[]): void {
    for (const { identity, limit, cost } of hits) {
      if (cost > 0 && !this.#reference.isBlocked(identity, limit, this.scenario.clock.now()))
        this.#reference.share(identity, limit);
    }
  }

  /**
   * Removes the cells that a storage may or may not have dropped already, because the next result
   * on them is ambiguous.
   */
  async #removeDoubtful(cells: readonly Cell[]): Promise<void> {
    const doubtful = cells.filter(({ identity, limit }) =>
      this.#reference.isDoubtful(identity, limit, this.scenario.clock.now()),
    );
    await this.#removeAll(doubtful.map(({ limit }) => limit));
  }

  async #removeAll(limits: readonly Limit[]): Promise<void> {
    if (limits.length === 0) return;
    await this.scenario.remove(limits, IDENTITY);
    for (const limit of limits) this.#reference.remove(IDENTITY, limit);
  }

  #compare(step: string, batch: readonly Hit[], result: BatchResult, expected: BatchResult): void {
    const hits = batch.map(({ limit, cost }) => `${cost} of ${limit.id} by ${limit.amount}`);
    const describe = ({ allowed, ...rest }: BatchResult): unknown => ({
      step,
      hits,
      allowed,
      met: seen({ allowed, ...rest }),
    });
    deepEqual(describe(result), describe(expected));
  }

  #moveClock(): void {
    const { clock } = this.scenario;
    if (this.random.chance(6)) {
      const back = clock.now() - this.random.below(3000);
      // A storage may have dropped expired cells, so results before their expiry are ambiguous. So
      // is a receipt from the future.
      if (this.#reference.someEndBetween(back, clock.now())) return;
      this.#receipts = [];
      this.#reference.goBack(clock.now() - back);
      clock.set(back);
    } else if (this.random.chance(60)) {
      clock.advance(this.random.below(this.random.chance(5) ? 3 * MINUTE : 8000));
    }
  }

  #randomBatch(): Hit[] {
    return this.#randomLimits().map((limit) => ({
      identity: IDENTITY,
      limit,
      cost: this.random.chance(5) ? 9 : this.random.below(4),
    }));
  }

  /** Picks some cells, and one limit of each. */
  #randomLimits(): Limit[] {
    return this.random.someOf(this.plans).flatMap((plans) => plans[this.random.below(plans.length)] ?? []);
  }
}

/**
 * Returns cells of every strategy, two of them in shadow mode and two with blocks. The limits of a
 * cell differ in amount.
 */
function mixedPlans(): Limit[][] {
  return [
    ...strategyNames.map((strategy, index) => plansOf(strategy, [5 + index, 3, 7 + index])),
    [
      limitOf('token-bucket', { id: 'burst', amount: 3, burst: 8 }),
      limitOf('token-bucket', { id: 'burst', amount: 6, burst: 4 }),
      limitOf('token-bucket', { id: 'burst', amount: 1, burst: 6 }),
    ],
    plansOf('fixed-window', [4, 2], { id: 'shadow', mode: 'shadow' }),
    plansOf('moving-window', [2, 5], { id: 'shadow log', mode: 'shadow', block: [5000] }),
    plansOf('fixed-window', [6, 4, 8], { id: 'blocking', block: [10_000, 30_000] }),
  ];
}

/** Returns limits of one cell that differ in amount, as plans do. */
function plansOf(
  strategy: StrategyName,
  amounts: readonly number[],
  options: Partial<CreateLimitOptions> = {},
): Limit[] {
  return amounts.map((amount) => limitOf(strategy, { ...options, amount }));
}

export const randomTracesCases = topic.cases;
