import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { strategyNames } from '../../lib/strategies/strategies.js';
import type { Quota, StrategyName } from '../../lib/strategies/strategy.js';
import { RUNS, smallQuotas, START, Subject, type Taken } from '../support/strategies.js';
import { settlementModel, type ModelHit } from '../support/settlement-model.js';

/** A hit, or the settlement of one of those before. */
type Step =
  | { wait: number; does: 'hit'; cost: number }
  | { wait: number; does: 'settle'; which: number; actual: number };

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

function traces(name: StrategyName): fc.Arbitrary<{ quota: Quota; steps: Step[] }> {
  return smallQuotas(name).chain((quota) => fc.record({ quota: fc.constant(quota), steps: stepsOn(quota) }));
}

describe.each(strategyNames.filter((name) => name !== 'token-bucket'))('%s', (name) => {
  it('counts after settlements what a trace with the actual costs counts, in the windows that opened', () => {
    fc.assert(
      fc.property(traces(name), ({ quota, steps }) => {
        const subject = new Subject(name, quota);
        const model = settlementModel(name as Exclude<StrategyName, 'token-bucket'>, quota);
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
