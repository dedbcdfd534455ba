import { deepEqual } from 'node:assert/strict';
import { consumeBatch, peekBatch, settleBatch } from '../../storages/apply-batch.js';
import {
  receiptsOf,
  type BatchResult,
  type Cell,
  type Hit,
  type Receipt,
  type Settlement,
} from '../../core/contract.js';
import type { CreateLimitOptions, Limit } from '../../core/limit.js';
import { strategyNames } from '../../strategies/strategies.js';
import type { StrategyName } from '../../strategies/strategy.js';
import type { Random } from './random.js';
import { ReferenceCells } from './reference-cells.js';
import { limitOf, MINUTE, seen, type Scenario } from './scenario.js';

const IDENTITY = 'conformance/random';

/** Makes the same random calls to a storage and to the pure steps, and compares every result. */
export class RandomTrace {
  readonly #reference = new ReferenceCells();
  /**
   * Receipts that can be settled: those of the storage, and those of the reference for the same
   * hits.
   */
  #receipts: { storage: Receipt[]; reference: Receipt[] }[] = [];

  constructor(
    private readonly scenario: Scenario,
    private readonly random: Random,
    /** The limits that share each cell. */
    private readonly plans: readonly (readonly Limit[])[] = mixedPlans(),
  ) {}

  /** Makes a number of calls. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step(step);
  }

  async #step(step: number): Promise<void> {
    this.#moveClock();
    if (this.random.chance(65)) await this.#consume(step);
    else if (this.random.chance(25)) await this.#peek(step);
    else if (this.random.chance(85)) await this.#settle(step);
    else await this.#removeAll(this.#randomLimits());
  }

  async #consume(step: number): Promise<void> {
    const batch = this.#randomBatch();
    await this.#removeDoubtful(batch);
    const result = await this.scenario.consume(batch);
    const expected = consumeBatch(this.#reference, batch, this.scenario.clock.now());
    this.#share(batch);
    this.#compare(`consume ${step}`, batch, result, expected);
    const reference = receiptsOf(expected);
    if (reference.length > 0) this.#receipts.push({ storage: receiptsOf(result), reference });
  }

  async #peek(step: number): Promise<void> {
    const batch = this.#randomBatch();
    await this.#removeDoubtful(batch);
    const expected = peekBatch(this.#reference, batch, this.scenario.clock.now());
    this.#compare(`peek ${step}`, batch, await this.scenario.peek(batch), expected);
  }

  /** Settles the hits of a batch to other costs, or returns a few units to the current windows. */
  async #settle(step: number): Promise<void> {
    const receipts = this.#receipts[this.random.below(this.#receipts.length)];
    if (receipts === undefined || this.random.chance(30)) {
      const current = this.#randomBatch().map((hit): Settlement => ({
        ...hit,
        window: 'current',
        actual: 0,
      }));
      await this.#settleBoth(step, current, current);
      return;
    }
    const actual = receipts.reference.map(({ cost }) =>
      this.random.chance(40) ? 0 : this.random.below(2 * cost + 3),
    );
    const settlements = ({ storage, reference } = receipts): [Settlement[], Settlement[]] => [
      storage.map((receipt, index) => ({ ...receipt, actual: actual[index] ?? 0 })),
      reference.map((receipt, index) => ({ ...receipt, actual: actual[index] ?? 0 })),
    ];
    const [result, expected] = await this.#settleBoth(step, ...settlements());
    receipts.storage = receipts.storage.map((receipt, index) => afterSettlement(receipt, result, index));
    receipts.reference = receipts.reference.map((receipt, index) =>
      afterSettlement(receipt, expected, index),
    );
  }

  async #settleBoth(
    step: number,
    storage: readonly Settlement[],
    reference: readonly Settlement[],
  ): Promise<[BatchResult, BatchResult]> {
    await this.#removeDoubtful(reference);
    const result = await this.scenario.settleAll(storage);
    const expected = settleBatch(this.#reference, reference, this.scenario.clock.now());
    this.#share(reference);
    this.#compare(`settle ${step}`, reference, result, expected);
    return [result, expected];
  }

  /**
   * Records which limits hit a cell, since a storage must keep the cell for each of them. A blocked
   * hit changes nothing.
   */
  #share(hits: readonly Hit[]): void {
    for (const { identity, limit, cost } of hits) {
      if (cost > 0 && !this.#reference.isBlocked(identity, limit, this.scenario.clock.now()))
        this.#reference.share(identity, limit);
    }
  }

  /**
   * Removes cells that a storage may or may not have dropped already, since the next result on them
   * is ambiguous.
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
    const describe = (answer: BatchResult): unknown => ({
      step,
      hits,
      allowed: answer.allowed,
      met: seen(answer),
    });
    deepEqual(describe(result), describe(expected));
  }

  #moveClock(): void {
    const { clock } = this.scenario;
    if (this.random.chance(6)) {
      const back = clock.now() - this.random.below(3000);
      // Results before the expiry of dropped cells are ambiguous, and so is a receipt from the
      // future.
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

function afterSettlement(
  { identity, limit, at }: Receipt,
  { outcomes }: BatchResult,
  index: number,
): Receipt {
  const { cost = 0, window } = outcomes[index] ?? {};
  return { identity, limit, at, cost, window };
}

/**
 * Returns cells of every strategy, two of them in shadow mode and five with blocks. The limits of
 * a cell differ in amount.
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
    plansOf('token-bucket', [4, 3], { id: 'patient', block: [5000, 20_000], blockAfter: 3 }),
    plansOf('fixed-window', [3, 5], {
      id: 'patient by outcome',
      block: [4000],
      blockAfter: 2,
      refundable: true,
    }),
    plansOf('sliding-window-counter', [4, 6], { id: 'by outcome', block: [10_000], refundable: true }),
  ];
}

/** Returns limits of one cell that differ in amount, as plans do. */
export function plansOf(
  strategy: StrategyName,
  amounts: readonly number[],
  options: Partial<CreateLimitOptions> = {},
): Limit[] {
  return amounts.map((amount) => limitOf(strategy, { ...options, amount }));
}
