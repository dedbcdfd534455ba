import { deepEqual } from 'node:assert/strict';
import { createLimit, type Limit, type Receipt, type Storage } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf } from '../../lib/core/contract.js';
import { Random } from '../../lib/testing/conformance/random.js';
import { CASE_START } from '../../lib/testing/conformance/conformance-case.js';

/** Steps on a server: the number in the environment, or else few enough for every run of the tests. */
const STEPS = Number(process.env['STEPS'] ?? 3000);

/** Ms for that many steps on a busy machine. */
export const SLOTS_TIMEOUT_MS = 60_000 + 100 * STEPS;

const HOLD = 1000;

/** A slot as the model knows it, and the receipts of it: the newest, and those of before. */
interface ModelSlot {
  cost: number;
  end: number;
  receipts: Receipt[];
}

/** Plans that share slots, with holds of their own. */
const PLANS: readonly Limit[] = [
  [7, HOLD],
  [3, HOLD],
  [5, 3 * HOLD],
].map(([amount = 0, period = 0]) => createLimit({ id: 'slots', strategy: 'concurrency', amount, period }));

/**
 * Takes, renews and releases slots at random, some of them late or twice, and compares each answer with a list of all slots that were
 * ever taken.
 *
 * @param open opens the storage by a clock
 */
export async function playSlots(
  open: (options: { clock: ManualClock; keyPrefix: string }) => Storage,
  steps = STEPS,
  seed = 1,
): Promise<void> {
  const random = new Random(seed);
  const clock = new ManualClock(CASE_START);
  const storage = open({ clock, keyPrefix: `slots-${process.pid}-${seed}` });
  let slots: ModelSlot[] = [];
  const used = (): number => slots.reduce((sum, { end, cost }) => sum + (end > clock.now() ? cost : 0), 0);
  const compare = (step: string, met: object, expected: object): void =>
    deepEqual({ step, ...met }, { step, ...expected });

  for (let step = 0; step < steps; step++) {
    if (random.chance(50)) clock.advance(random.below(random.chance(5) ? 2 * HOLD : HOLD / 6));
    const limit = PLANS[random.below(PLANS.length)] as Limit;
    const slot = slots[slots.length - 1 - random.below(Math.min(slots.length, 12))];
    if (slot === undefined || random.chance(40)) {
      const cost = 1 + random.below(3);
      if (used() === 0) clock.advance(1); // a receipt is that of one slot, unless all were released in its ms
      const free = Math.max(0, limit.amount - used());
      const result = await storage.consume([{ identity: 'somebody', limit, cost }]);
      const remaining = cost <= free ? free - cost : free;
      const retryAfter = cost <= free ? 0 : cost > limit.amount ? Infinity : undefined;
      const [outcome] = result.outcomes;
      compare(
        `take ${cost} of ${limit.amount} at step ${step}`,
        { allowed: result.allowed, remaining: outcome?.remaining, retryAfter: outcome?.retryAfter },
        { allowed: cost <= free, remaining, retryAfter },
      );
      if (result.allowed) slots.push({ cost, end: clock.now() + limit.period, receipts: receiptsOf(result) });
    } else {
      // Mostly the newest receipt; an older one is that of a call whose answer was lost.
      const old = random.chance(10) ? random.below(slot.receipts.length) : slot.receipts.length - 1;
      const receipt = slot.receipts[old] as Receipt;
      const actual = random.chance(60) ? 0 : receipt.cost;
      const { outcomes } = await storage.settle([{ ...receipt, actual }]);
      Object.assign(slot, { cost: actual, end: clock.now() + receipt.limit.period });
      if (actual > 0) slot.receipts.push({ ...receipt, window: outcomes[0]?.window });
      compare(
        `settle to ${actual} at step ${step}`,
        { remaining: outcomes[0]?.remaining },
        { remaining: Math.max(0, receipt.limit.amount - used()) },
      );
    }
    if (slots.length > 200)
      slots = slots.filter(({ end }, index) => end > clock.now() || index >= slots.length - 50);
  }
  await storage.close();
}
