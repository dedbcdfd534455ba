import { deepEqual } from 'node:assert/strict';
import { consumeBatch, peekBatch, refundBatch } from '../../../storages/apply-batch.js';
import { receiptsOf, type BatchResult, type Hit, type Refund } from '../../../core/contract.js';
import type { Limit } from '../../../core/limit.js';
import { strategyNames } from '../../../strategies/strategies.js';
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
  'answers a random trace of one limit as the pure strategy does',
  async (scenario, strategy) => {
    const trace = new Trace(scenario, new Random(4), [limitOf(strategy, { amount: 7 })]);
    for (let step = 0; step < 100; step++) await trace.step(step);
  },
);

/** The same random calls to a storage and to the pure steps, compared answer for answer. */
class Trace {
  readonly #reference = new ReferenceCells();
  /** What may still be given back: the storage's receipts, and the reference's of the same hits. */
  #receipts: { storage: Refund[]; reference: Refund[] }[] = [];

  constructor(
    private readonly scenario: Scenario,
    private readonly random: Random,
    private readonly limits: readonly Limit[] = mixedLimits(),
  ) {}

  async step(step: number): Promise<void> {
    this.#moveClock();
    if (this.random.chance(80)) await this.#consume(step);
    else if (this.random.chance(50)) await this.#peek(step);
    else if (this.random.chance(80)) await this.#refund();
    else await this.#remove();
  }

  async #consume(step: number): Promise<void> {
    const batch = this.#randomBatch();
    const result = await this.scenario.consume(batch);
    const expected = consumeBatch(this.#reference, batch, this.scenario.clock.now());
    this.#compare(`consume ${step}`, batch, result, expected);
    this.#receipts.push({ storage: receiptsOf(result), reference: receiptsOf(expected) });
  }

  async #peek(step: number): Promise<void> {
    const batch = this.#randomBatch();
    const expected = peekBatch(this.#reference, batch, this.scenario.clock.now());
    this.#compare(`peek ${step}`, batch, await this.scenario.peek(batch), expected);
  }

  /** Gives a receipt back, or a little of the current windows. */
  async #refund(): Promise<void> {
    const current = this.#randomBatch().map((hit): Refund => ({ ...hit, window: 'current' }));
    const [receipts] = this.random.chance(70)
      ? this.#receipts.splice(this.random.below(this.#receipts.length), 1)
      : [];
    const { storage, reference } = receipts ?? { storage: current, reference: current };
    await this.scenario.refund(storage);
    refundBatch(this.#reference, reference, this.scenario.clock.now());
  }

  async #remove(): Promise<void> {
    const limits = this.random.someOf(this.limits);
    await this.scenario.remove(limits, IDENTITY);
    for (const limit of limits) this.#reference.remove(IDENTITY, limit);
  }

  #compare(step: string, batch: readonly Hit[], result: BatchResult, expected: BatchResult): void {
    const hits = batch.map(({ limit, cost }) => `${cost} of ${limit.id}`);
    const told = (answer: BatchResult): unknown => ({
      step,
      hits,
      allowed: answer.allowed,
      met: seen(answer),
    });
    deepEqual(told(result), told(expected));
  }

  #moveClock(): void {
    const { clock } = this.scenario;
    if (this.random.chance(6)) {
      const back = clock.now() - this.random.below(3000);
      // What has ended may be gone, so that going back before an end has no one answer; nor has a receipt from the future.
      if (this.#reference.someEndBetween(back, clock.now())) return;
      this.#receipts = [];
      clock.set(back);
    } else if (this.random.chance(60)) {
      clock.advance(this.random.below(this.random.chance(5) ? 3 * MINUTE : 8000));
    }
  }

  #randomBatch(): Hit[] {
    return this.random.someOf(this.limits).map((limit) => ({
      identity: IDENTITY,
      limit,
      cost: this.random.chance(5) ? 9 : this.random.below(4),
    }));
  }
}

/** Every strategy, two of them in shadow, two with blocks. */
function mixedLimits(): Limit[] {
  return [
    ...strategyNames.map((strategy, index) => limitOf(strategy, { amount: 5 + index })),
    limitOf('token-bucket', { id: 'burst', amount: 3, burst: 8 }),
    limitOf('fixed-window', { id: 'shadow', amount: 4, mode: 'shadow' }),
    limitOf('moving-window', { id: 'shadow log', amount: 2, mode: 'shadow', block: [5000] }),
    limitOf('fixed-window', { id: 'blocking', amount: 6, block: [10_000, 30_000] }),
  ];
}

export const randomTracesCases = topic.cases;
