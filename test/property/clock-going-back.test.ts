import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';
import { longestRecovery, play, RUNS, scenarios, Subject } from '../support/strategies.js';
import { mostAboveRefill, mostWithin, type Attempt } from '../support/strategy-model.js';

// The clock does not show how much time has passed since it went back. The checks therefore count
// from the first hit after that, allowed or refused.
describe.each(rateStrategyNames)('When the clock goes back, %s', (name) => {
  const anyScenario = scenarios(name, { clockGoesBack: true });

  it('allows a hit exactly after the retryAfter of a refusal, and not one ms earlier', () => {
    fc.assert(
      fc.property(anyScenario, fc.nat(), ({ quota, steps }, seed) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const cost = 1 + (seed % quota.burst);
        fc.pre(subject.hit(cost, now) === undefined);
        const { retryAfter } = subject.evaluate(cost, now);

        expect(retryAfter).toBeGreaterThan(0);
        expect(retryAfter).toBeLessThanOrEqual(longestRecovery(name, quota));
        expect(subject.evaluate(cost, now + retryAfter - 1).allowed).toBe(false);
        expect(subject.evaluate(cost, now + retryAfter).allowed).toBe(true);
      }),
      RUNS,
    );
  });

  it('reports the wait of a hit before it is made', () => {
    fc.assert(
      fc.property(anyScenario, fc.nat(), ({ quota, steps }, seed) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const cost = 1 + (seed % quota.burst);
        const predicted = subject.evaluate(cost, now);
        subject.refuse(now);
        const decided = subject.evaluate(cost, now);

        if (name === 'fixed-window-elastic-expiry') expect(decided.allowed).toBe(predicted.allowed);
        else expect(decided).toEqual(predicted);
      }),
      RUNS,
    );
  });

  it('has the full quota again as soon after a hit as on a monotonic clock', () => {
    fc.assert(
      fc.property(anyScenario, fc.nat(), ({ quota, steps }, seed) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        subject.hit(1 + (seed % (quota.burst + 1)), now);

        expect(subject.remaining(now + longestRecovery(name, quota))).toBe(quota.burst);
        expect(subject.evaluate(1, now).resetTime).toBeLessThanOrEqual(now + longestRecovery(name, quota));
      }),
      RUNS,
    );
  });

  it('leaves no more units than right before', () => {
    fc.assert(
      fc.property(anyScenario, fc.nat(), ({ quota, steps }, back) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const left = subject.remaining(now);

        expect(subject.remaining(now - (back % (20 * quota.period)))).toBeLessThanOrEqual(left);
      }),
      RUNS,
    );
  });

  it('keeps its bound on a clock that stops instead of going back', () => {
    fc.assert(
      fc.property(anyScenario, ({ quota, steps }) => {
        const history: Attempt[] = [];
        let standing = 0;
        play(new Subject(name, quota), steps, (taken, _now, { wait, cost }) => {
          standing += Math.max(0, wait);
          history.push({ at: standing, cost, taken: taken !== undefined });
        });

        switch (name) {
          case 'token-bucket':
            expect(mostAboveRefill(history, quota)).toBeLessThanOrEqual(quota.burst * quota.period);
            break;
          case 'fixed-window':
          case 'sliding-window-counter':
            expect(mostWithin(history, quota.period)).toBeLessThanOrEqual(2 * quota.amount);
            break;
          case 'calendar-window': {
            // A month may be shorter than its nominal length, and each return may meet one more bound.
            const returns = steps.filter(({ wait }) => wait < 0).length;
            expect(mostWithin(history, quota.period)).toBeLessThanOrEqual((3 + returns) * quota.amount);
            break;
          }
          case 'fixed-window-elastic-expiry':
          case 'moving-window':
            expect(mostWithin(history, quota.period)).toBeLessThanOrEqual(quota.amount);
            break;
        }
      }),
      RUNS,
    );
  });
});
