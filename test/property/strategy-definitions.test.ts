import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';
import {
  longestRecovery,
  play,
  realisticQuotas,
  RUNS,
  scenarios,
  smallQuotas,
  Subject,
} from '../support/strategies.js';
import { usedByDefinition, type Attempt } from '../support/strategy-model.js';

describe.each(rateStrategyNames)('%s', (name) => {
  const used = usedByDefinition[name];

  it.each([
    ['small', smallQuotas(name)],
    ['realistic', realisticQuotas(name)],
  ])('allows and leaves exactly what its definition says, for %s quotas', (_size, quota) => {
    fc.assert(
      fc.property(scenarios(name, { quota }), ({ quota, steps }) => {
        const subject = new Subject(name, quota);
        const history: Attempt[] = [];
        const seen: [taken: boolean, left: number][] = [];
        const defined: typeof seen = [];
        play(subject, steps, (taken, now, { cost }) => {
          const fits = used(history, quota, now) + cost <= quota.burst;
          if (cost > 0) history.push({ at: now, cost, taken: fits });
          seen.push([taken !== undefined, subject.remaining(now)]);
          defined.push([fits && cost > 0, quota.burst - used(history, quota, now)]);
        });
        expect(seen).toEqual(defined);
      }),
      RUNS,
    );
  });

  it('reports the first ms at which more is left, and the first at which a cost fits', () => {
    const scenario = scenarios(name, { quota: smallQuotas(name), maxSteps: 12 });
    fc.assert(
      fc.property(scenario, fc.nat(40), ({ quota, steps }, later) => {
        const history: Attempt[] = [];
        const subject = new Subject(name, quota);
        const now =
          later +
          play(subject, steps, (taken, at, { cost }) => {
            if (cost > 0) history.push({ at, cost, taken: taken !== undefined });
          });
        const left = (time: number): number => quota.burst - used(history, quota, time);
        const firstAt = (holds: (time: number) => boolean): number => {
          let time = now;
          while (!holds(time) && time <= now + longestRecovery(name, quota)) time++;
          return time;
        };

        const remaining = left(now);
        const resetTime = remaining === quota.burst ? now : firstAt((time) => left(time) > remaining);
        const allCosts = Array.from({ length: quota.burst + 2 }, (_, cost) => cost);
        expect(allCosts.map((cost) => subject.evaluate(cost, now))).toEqual(
          allCosts.map((cost) => ({
            allowed: cost <= remaining,
            remaining,
            resetTime,
            retryAfter: cost > quota.burst ? Infinity : firstAt((time) => cost <= left(time)) - now,
          })),
        );
      }),
      RUNS,
    );
  });
});
