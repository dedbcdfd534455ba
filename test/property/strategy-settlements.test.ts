import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';
import type { Quota, StrategyName } from '../../lib/strategies/strategy.js';
import { play, RUNS, scenarios, smallQuotas, START, Subject, type Taken } from '../support/strategies.js';
import { settlementModel, type ModelHit } from '../support/settlement-model.js';
import { levelByDefinition, mostAboveRefill, mostWithin, type Attempt } from '../support/strategy-model.js';

/** A hit, or the settlement of one of those before. */
type Step =
  | { wait: number; does: 'hit'; cost: number }
  | { wait: number; does: 'settle'; which: number; actual: number };

interface Trace {
  readonly quota: Quota;
  readonly steps: readonly Step[];
}

function stepsOn({ period, burst }: Quota): fc.Arbitrary<Step[]> {
  const wait = fc.oneof(
    fc.constantFrom(0, 0, 1, period - 1, period),
    fc.integer({ min: 0, max: 2 * period }),
  );
  const cost = fc.integer({ min: 0, max: burst });
  return fc.array(
    fc.oneof(
      fc.record({ wait, does: fc.constant('hit' as const), cost }),
      fc.record({
        wait,
        does: fc.constant('settle' as const),
        which: fc.nat(20),
        actual: fc.integer({ min: 0, max: 2 * burst }),
      }),
    ),
    { maxLength: 25 },
  );
}

function traces(name: StrategyName): fc.Arbitrary<Trace> {
  return smallQuotas(name).chain((quota) => fc.record({ quota: fc.constant(quota), steps: stepsOn(quota) }));
}

describe.each(rateStrategyNames.filter((name) => name !== 'token-bucket'))('%s', (name) => {
  it('counts after settlements the same as a trace with the actual costs', () => {
    fc.assert(
      fc.property(traces(name), ({ quota, steps }) => {
        const subject = new Subject(name, quota);
        const model = settlementModel(name, quota);
        const hits: { taken: Taken; model: ModelHit }[] = [];
        let now = START;
        for (const step of steps) {
          now += step.wait;
          if (step.does === 'hit') {
            const taken = subject.reserve(step.cost, now);
            if (taken !== undefined) hits.push({ taken, model: model.take(step.cost, now) });
            else model.refuse(now);
          } else if (hits.length > 0) {
            const hit = hits[step.which % hits.length] as (typeof hits)[number];
            hit.taken = subject.settle(hit.taken, step.actual, now);
            model.settle(hit.model, step.actual, now);
          }
          for (const time of [now, now + 1, now + quota.period - 1, now + quota.period]) {
            const used = subject.copy().used(time);
            expect({ step, time: time - START, used }).toEqual({
              step,
              time: time - START,
              used: model.used(time),
            });
          }
        }
      }),
      RUNS,
    );
  });
});

/**
 * Plays a trace. Returns the final cost of each hit, in order, and calls back after each step.
 *
 * @param limitCost changes the actual cost of a settlement
 */
function settled(
  subject: Subject,
  { steps }: Pick<Trace, 'steps'>,
  limitCost: (actual: number, hit: Taken) => number,
  after: (hits: readonly Taken[], now: number, step: Step) => void = () => undefined,
): readonly Taken[] {
  const hits: Taken[] = [];
  let now = START;
  for (const step of steps) {
    now += step.wait;
    const which = step.does === 'settle' && hits.length > 0 ? step.which % hits.length : undefined;
    const hit = which === undefined ? undefined : hits[which];
    if (step.does === 'hit') {
      const taken = subject.reserve(step.cost, now);
      if (taken !== undefined) hits.push(taken);
    } else if (which !== undefined && hit !== undefined) {
      hits[which] = subject.settle(hit, limitCost(step.actual, hit), now);
    }
    after(hits, now, step);
  }
  return hits;
}

const toAny = (actual: number): number => actual;
const toLess = (actual: number, { cost }: Taken): number => Math.min(actual, cost);

function attempts(hits: readonly Taken[]): Attempt[] {
  return hits.filter(({ cost }) => cost > 0).map((hit) => ({ ...hit, taken: true }));
}

describe('For any order of hits and settlements to less, the final count', () => {
  it.each([
    ['fixed-window', 2],
    ['fixed-window-elastic-expiry', 1],
    ['moving-window', 1],
    ['sliding-window-counter', 2],
  ] as const)('of a %s stays within %i × the amount in any span of a period', (name, windows) => {
    fc.assert(
      fc.property(traces(name), ({ quota, steps }) => {
        const hits = settled(new Subject(name, quota), { steps }, toLess);
        expect(mostWithin(attempts(hits), quota.period)).toBeLessThanOrEqual(windows * quota.amount);
      }),
      RUNS,
    );
  });

  it('of a token-bucket stays within the burst above what is refilled, in any span', () => {
    fc.assert(
      fc.property(traces('token-bucket'), ({ quota, steps }) => {
        const hits = settled(new Subject('token-bucket', quota), { steps }, toLess);
        expect(mostAboveRefill(attempts(hits), quota)).toBeLessThanOrEqual(quota.burst * quota.period);
      }),
      RUNS,
    );
  });
});

describe('For any order of hits and settlements of a token-bucket, to any costs,', () => {
  it('it never has more tokens than a trace with the actual costs', () => {
    fc.assert(
      fc.property(traces('token-bucket'), ({ quota, steps }) => {
        const subject = new Subject('token-bucket', quota);
        settled(subject, { steps }, toAny, (hits, now) => {
          for (const time of [now, now + 1, now + quota.period]) {
            const level = levelByDefinition(attempts(hits), quota, time);
            const left = Math.max(0, Math.floor(quota.burst - level / quota.period));
            expect(subject.copy().remaining(time)).toBeLessThanOrEqual(left);
          }
        });
      }),
      RUNS,
    );
  });

  it('it admits a hit only within the burst above the refill, by the costs of the hits before it at that time', () => {
    fc.assert(
      fc.property(traces('token-bucket'), ({ quota, steps }) => {
        const subject = new Subject('token-bucket', quota);
        let admitted = 0;
        settled(subject, { steps }, toAny, (hits, now, { does }) => {
          const isAdmitted = does === 'hit' && hits.length > admitted && (hits.at(-1)?.cost ?? 0) > 0;
          admitted = hits.length;
          if (!isAdmitted) return;
          expect(levelByDefinition(attempts(hits), quota, now)).toBeLessThanOrEqual(
            quota.burst * quota.period,
          );
        });
      }),
      RUNS,
    );
  });

  it('it has exactly the tokens of a trace with the actual costs, while nothing is refilled', () => {
    fc.assert(
      fc.property(traces('token-bucket'), ({ quota, steps }) => {
        const slow = { ...quota, period: 1_000_000_000 };
        const subject = new Subject('token-bucket', slow);
        const atOnce = steps.map((step) => ({ ...step, wait: 0 }));
        const hits = settled(subject, { steps: atOnce }, toAny);
        const counted = hits.reduce((sum, { cost }) => sum + cost, 0);
        expect(subject.used(START)).toBe(counted);
      }),
      RUNS,
    );
  });

  it('a settlement changes its tokens by at most the difference of both costs, in the same direction', () => {
    fc.assert(
      fc.property(traces('token-bucket'), ({ quota, steps }) => {
        const subject = new Subject('token-bucket', quota);
        let before = subject.copy();
        let counted: readonly Taken[] = [];
        settled(subject, { steps }, toAny, (hits, now, step) => {
          if (step.does === 'settle') {
            const change = hits.reduce((sum, { cost }, index) => sum + cost - (counted[index]?.cost ?? 0), 0);
            const gained = before.used(now) - subject.used(now);
            expect(gained * Math.sign(change)).toBeLessThanOrEqual(0);
            expect(Math.abs(gained)).toBeLessThanOrEqual(Math.abs(change));
          }
          before = subject.copy();
          counted = [...hits];
        });
      }),
      RUNS,
    );
  });
});

describe.each(rateStrategyNames)('%s', (name) => {
  it('returns at most the cost without a receipt, and never more than the capacity', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(120), ({ quota, steps }, seed, percent) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps) + Math.round((quota.period * percent) / 100);
        const before = subject.copy();
        const cost = 1 + (seed % (2 * quota.burst));

        subject.refundByHand(cost, now);

        const times = [0, 0.3, 0.5, 0.9, 1, 1.5, 2, 3].map(
          (periods) => now + Math.round(periods * quota.period),
        );
        const gained = times.map((time) => subject.remaining(time) - before.remaining(time));
        expect(Math.min(...gained)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...gained)).toBeLessThanOrEqual(cost);
        expect(Math.max(...times.map((time) => subject.remaining(time)))).toBeLessThanOrEqual(quota.burst);
      }),
      RUNS,
    );
  });
});
