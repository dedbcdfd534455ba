import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';
import type { Quota } from '../../lib/strategies/strategy.js';
import { longestRecovery, play, RUNS, scenarios, Subject } from '../support/strategies.js';

describe.each(rateStrategyNames)('%s', (name) => {
  it('never has negative remaining units, and never fewer as time passes without a hit', () => {
    fc.assert(
      fc.property(scenarios(name), fc.array(fc.nat(100), { maxLength: 10 }), ({ quota, steps }, percents) => {
        const subject = new Subject(name, quota);
        let now = play(subject, steps);
        let left = subject.remaining(now);
        expect(left).toBeGreaterThanOrEqual(0);
        for (const percent of percents) {
          now += Math.ceil((quota.period * percent) / 100);
          const later = subject.remaining(now);
          expect(later).toBeGreaterThanOrEqual(left);
          left = later;
        }
        expect(subject.remaining(now + longestRecovery(name, quota))).toBe(quota.burst);
      }),
      RUNS,
    );
  });

  it('allows a hit exactly after retryAfter, and not one ms earlier', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), ({ quota, steps }, seed) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const left = subject.remaining(now);
        const cost = 1 + (seed % quota.burst);
        const { allowed, retryAfter } = subject.evaluate(cost, now);

        expect(allowed).toBe(cost <= left);
        expect(retryAfter === 0).toBe(allowed);
        expect(Number.isSafeInteger(retryAfter)).toBe(true);
        expect(subject.evaluate(cost, now + retryAfter).allowed).toBe(true);
        if (!allowed) expect(subject.evaluate(cost, now + retryAfter - 1).allowed).toBe(false);
        expect(subject.hit(cost, now + retryAfter)).toBeDefined();
      }),
      RUNS,
    );
  });

  it('has more left at resetTime, and not one ms earlier', () => {
    fc.assert(
      fc.property(scenarios(name), ({ quota, steps }) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const { remaining, resetTime } = subject.evaluate(1, now);

        expect(Number.isSafeInteger(resetTime)).toBe(true);
        if (remaining === quota.burst) {
          expect(resetTime).toBe(now);
        } else {
          expect(resetTime).toBeGreaterThan(now);
          expect(subject.remaining(resetTime - 1)).toBe(remaining);
          expect(subject.remaining(resetTime)).toBeGreaterThan(remaining);
        }
      }),
      RUNS,
    );
  });

  it('allows exactly what it reports, also after a change of the amount', () => {
    fc.assert(
      fc.property(
        scenarios(name),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(),
        ({ quota, steps }, amount, seed) => {
          const before = new Subject(name, quota);
          const now = play(before, steps);
          const changed: Quota = { ...quota, amount, burst: amount };
          const subject = before.withQuota(changed);
          const cost = 1 + (seed % amount);
          const { remaining, retryAfter, resetTime } = subject.evaluate(cost, now);

          expect(remaining).toBeGreaterThanOrEqual(0);
          expect(remaining).toBeLessThanOrEqual(amount);
          expect(subject.evaluate(cost, now + retryAfter).allowed).toBe(true);
          if (retryAfter > 0) expect(subject.evaluate(cost, now + retryAfter - 1).allowed).toBe(false);
          if (remaining < amount) {
            expect(subject.remaining(resetTime - 1)).toBe(remaining);
            expect(subject.remaining(resetTime)).toBeGreaterThan(remaining);
          }
        },
      ),
      RUNS,
    );
  });

  it('changes nothing by a refusal, except the end of an elastic window', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), ({ quota, steps }, more) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const before = subject.numbers;
        const cost = subject.remaining(now) + 1 + (more % (quota.burst + 1));

        expect(subject.hit(cost, now)).toBeUndefined();

        const moves = name === 'fixed-window-elastic-expiry' && subject.remaining(now) < quota.burst;
        expect(subject.numbers).toEqual(moves ? [...(before ?? []).slice(0, 2), now + quota.period] : before);
      }),
      RUNS,
    );
  });

  it('changes nothing by reads', () => {
    fc.assert(
      fc.property(
        scenarios(name, { clockGoesBack: true }),
        fc.nat(),
        fc.integer(),
        ({ quota, steps }, seed, wait) => {
          const subject = new Subject(name, quota);
          const now = play(subject, steps);
          const before = subject.copy();

          subject.evaluate(seed % (quota.burst + 2), now + wait);

          expect(subject).toEqual(before);
        },
      ),
      RUNS,
    );
  });

  it('takes one hit of a cost like several hits at one instant', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(), ({ quota, steps }, first, second) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const left = subject.remaining(now);
        fc.pre(left >= 2);
        const some = 1 + (first % (left - 1));
        const more = 1 + (second % (left - some));
        const inTwo = subject.copy();

        subject.hit(some + more, now);
        inTwo.hit(some, now);
        inTwo.hit(more, now);

        expect(inTwo.numbers).toEqual(subject.numbers);
        expect(subject.remaining(now)).toBe(left - some - more);
      }),
      RUNS,
    );
  });
});
