import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { strategyNames } from '../../lib/strategies/strategies.js';
import type { Quota, StrategyName } from '../../lib/strategies/strategy.js';
import {
  costs,
  play,
  RUNS,
  scenarios,
  smallQuotas,
  START,
  Subject,
  type Scenario,
  type Step,
  type Taken,
} from '../support/strategies.js';
import {
  levelByDefinition,
  mostAboveRefill,
  mostWithin,
  usedByDefinition,
  type Attempt,
} from '../support/strategy-model.js';

/** After a refund these have less quota than possible: an end does not move back, and tokens refill the oldest hits first. */
const MORE_CAREFUL_THAN_EXACT: readonly StrategyName[] = ['fixed-window-elastic-expiry', 'token-bucket'];

/** A scenario after its end, and one of its consumptions. */
interface Played {
  readonly subject: Subject;
  readonly taken: Taken;
  readonly now: number;
  /** The hits with a cost, and the consumption of each. */
  readonly log: readonly { at: number; cost: number; taken: Taken | undefined }[];
}

function played(name: StrategyName, { quota, steps }: Scenario, which: number): Played {
  const subject = new Subject(name, quota);
  const log: { at: number; cost: number; taken: Taken | undefined }[] = [];
  const now = play(subject, steps, (taken, at, { cost }) => {
    if (cost > 0) log.push({ at, cost, taken });
  });
  const takings = log.flatMap(({ taken }) => taken ?? []);
  const taken = takings[which % Math.max(1, takings.length)];
  fc.pre(taken !== undefined);
  return { subject, taken, now, log };
}

/** Plays the same scenario without one hit. All others are taken and refused as before. */
function without(taken: Taken, { subject: { name, quota }, log }: Played): Subject {
  const subject = new Subject(name, quota);
  for (const hit of log) {
    if (hit.taken === undefined) subject.refuse(hit.at);
    else if (hit.taken !== taken) subject.take(hit.cost, hit.at);
  }
  return subject;
}

/** Returns whether the whole cost, or at least some of it, still counts. */
function counts(
  how: 'in full' | 'at all',
  { subject: { name, quota, numbers }, taken, log }: Played,
  now: number,
): boolean {
  switch (name) {
    case 'fixed-window':
      return now < taken.window;
    case 'fixed-window-elastic-expiry': {
      const [, start = 0, end = 0] = numbers ?? [];
      return start === taken.window && now < end;
    }
    case 'moving-window':
      return now < taken.at + quota.period;
    case 'sliding-window-counter':
      return now < taken.window + (how === 'in full' ? quota.period : 2 * quota.period);
    case 'token-bucket': {
      const until = log.findIndex((hit) => hit.taken === taken) + 1;
      const history = log.slice(0, until).map((hit) => ({ ...hit, taken: hit.taken !== undefined }));
      const unfilled = levelByDefinition(history, quota, now);
      return unfilled >= (how === 'in full' ? taken.cost * quota.period : 1);
    }
  }
}

/** Returns instants from now until well after everything has expired. */
function instantsFrom(now: number, { period }: Quota): number[] {
  return [0, 1, 0.3, 0.5, 0.9, 1 - 1 / period, 1, 1 + 1 / period, 1.5, 2, 3].map(
    (periods) => now + Math.round(periods * period),
  );
}

function later(now: number, percentOfPeriod: number, { period }: Quota): number {
  return now + Math.round((period * percentOfPeriod) / 100);
}

describe.each(strategyNames)('%s', (name) => {
  it('stands after a refund right after the hit as it stood before', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), ({ quota, steps }, seed) => {
        const subject = new Subject(name, quota);
        const now = play(subject, steps);
        const left = subject.remaining(now);
        fc.pre(left > 0);
        const before = subject.copy();
        const taken = subject.hit(1 + (seed % left), now);
        fc.pre(taken !== undefined);

        subject.refund(taken, now);

        // Other consumptions keep the elastic end where the hit moved it.
        if (name === 'fixed-window-elastic-expiry' && left < quota.burst) {
          expect(subject.evaluate(left, now)).toEqual({
            allowed: true,
            remaining: left,
            resetTime: now + quota.period,
            retryAfter: 0,
          });
        } else {
          const times = instantsFrom(now, quota).slice(0, 6);
          const all = (of: Subject) =>
            [1, left + 1, quota.burst].map((cost) => times.map((time) => of.evaluate(cost, time)));
          expect(all(subject)).toEqual(all(before));
        }
      }),
      RUNS,
    );
  });

  it('refunds at most the cost at any time, and never takes quota by it', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(120), (scenario, which, percent) => {
        const { subject, taken, now: end } = played(name, scenario, which);
        const now = later(end, percent, scenario.quota);
        const before = subject.copy();

        subject.refund(taken, now);

        const gained = instantsFrom(now, scenario.quota).map(
          (time) => subject.remaining(time) - before.remaining(time),
        );
        expect(Math.min(...gained)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...gained)).toBeLessThanOrEqual(taken.cost);
      }),
      RUNS,
    );
  });

  it('refunds the whole cost while all of it counts', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), (scenario, which) => {
        const all = played(name, scenario, which);
        const { subject, taken, now } = all;
        fc.pre(counts('in full', all, now));
        const left = subject.remaining(now);

        subject.refund(taken, now);

        expect(subject.remaining(now)).toBe(left + taken.cost);
      }),
      RUNS,
    );
  });

  it('refunds nothing once the hit no longer counts, and so changes no later window', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(300), (scenario, which, percent) => {
        const all = played(name, scenario, which);
        const { subject, taken } = all;
        const now = later(all.now, percent, scenario.quota);
        fc.pre(!counts('at all', all, now));
        const before = subject.copy();

        subject.refund(taken, now);

        const times = instantsFrom(now, scenario.quota);
        expect(times.map((time) => subject.remaining(time))).toEqual(
          times.map((time) => before.remaining(time)),
        );
      }),
      RUNS,
    );
  });

  it('never lets more through after a refund than if the hit had not been made', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(120), (scenario, which, percent) => {
        const all = played(name, scenario, which);
        const { subject, taken, log } = all;
        // Without the hit that opens a window, the window would begin elsewhere. It does not move when that hit is refunded.
        const opens = !log.some((hit) => hit.taken?.window === taken.window && hit.at < taken.at);
        fc.pre(!opens || (name !== 'fixed-window' && name !== 'sliding-window-counter'));
        const reference = without(taken, all);
        const now = later(all.now, percent, scenario.quota);

        subject.refund(taken, now);

        const excess = instantsFrom(now, scenario.quota).map(
          (time) => subject.remaining(time) - reference.remaining(time),
        );
        expect(Math.max(...excess)).toBeLessThanOrEqual(0);
        if (!MORE_CAREFUL_THAN_EXACT.includes(name)) expect(Math.min(...excess)).toBe(0);
      }),
      RUNS,
    );
  });

  it('refunds without a receipt at most the cost, and never more than the capacity', () => {
    fc.assert(
      fc.property(scenarios(name), fc.nat(), fc.nat(120), ({ quota, steps }, seed, percent) => {
        const subject = new Subject(name, quota);
        const now = later(play(subject, steps), percent, quota);
        const before = subject.copy();
        const cost = 1 + (seed % (2 * quota.burst));

        subject.refundByHand(cost, now);

        const times = instantsFrom(now, quota);
        const gained = times.map((time) => subject.remaining(time) - before.remaining(time));
        expect(Math.min(...gained)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...gained)).toBeLessThanOrEqual(cost);
        expect(Math.max(...times.map((time) => subject.remaining(time)))).toBeLessThanOrEqual(quota.burst);
      }),
      RUNS,
    );
  });
});

/** Generates hits, each followed by refunds of earlier ones; by default of any. */
function minglings(name: StrategyName, refunds: fc.Arbitrary<number> = fc.nat()) {
  return smallQuotas(name).chain((quota) => {
    const wait = fc.integer({ min: 0, max: Math.ceil(quota.period / 2) });
    const refunded = fc.array(refunds, { maxLength: 2 });
    const step = fc.record({ wait, cost: costs(quota), refunded });
    return fc.record({ quota: fc.constant(quota), steps: fc.array(step, { maxLength: 30 }) });
  });
}

const [OLDEST, NEWEST] = [0, -1];

/** Makes the hits and refunds. Returns the hits that were taken and not refunded, and reports them after each step. */
function mingle(
  subject: Subject,
  steps: readonly (Step & { refunded: readonly number[] })[],
  after: (kept: readonly Attempt[], now: number) => void = () => undefined,
): readonly Attempt[] {
  const kept: (Taken & Attempt)[] = [];
  play(subject, steps, (receipt, now, { refunded }) => {
    if (receipt !== undefined) kept.push({ ...receipt, taken: true });
    for (const choice of refunded) {
      const [gone] = kept.splice(choice % Math.max(1, kept.length), 1);
      if (gone !== undefined) subject.refund(gone, now);
    }
    after(kept, now);
  });
  return kept;
}

describe('However hits and refunds mingle, what is not refunded', () => {
  it.each([
    ['fixed-window', 2],
    ['fixed-window-elastic-expiry', 1],
    ['moving-window', 1],
    ['sliding-window-counter', 2],
  ] as const)('of a %s stays within %i × the amount in any span of a period', (name, windows) => {
    fc.assert(
      fc.property(minglings(name), ({ quota, steps }) => {
        const kept = mingle(new Subject(name, quota), steps);
        expect(mostWithin(kept, quota.period)).toBeLessThanOrEqual(windows * quota.amount);
      }),
      RUNS,
    );
  });

  it('of a moving-window is exactly what counts', () => {
    fc.assert(
      fc.property(minglings('moving-window'), ({ quota, steps }) => {
        const subject = new Subject('moving-window', quota);
        mingle(subject, steps, (kept, now) => {
          expect(subject.remaining(now)).toBe(
            quota.amount - usedByDefinition['moving-window'](kept, quota, now),
          );
        });
      }),
      RUNS,
    );
  });
});

describe('However hits and refunds of a token-bucket mingle, what is not refunded', () => {
  it('stays within the burst above what is refilled, if the oldest hits or the newest are refunded first', () => {
    fc.assert(
      fc.property(minglings('token-bucket', fc.constantFrom(OLDEST, NEWEST)), ({ quota, steps }) => {
        const kept = mingle(new Subject('token-bucket', quota), steps);
        expect(mostAboveRefill(kept, quota)).toBeLessThanOrEqual(quota.burst * quota.period);
      }),
      RUNS,
    );
  });

  it('is exactly what counts while nothing is refilled, in whatever order hits are refunded', () => {
    fc.assert(
      fc.property(minglings('token-bucket'), ({ quota, steps }) => {
        const slow = { ...quota, period: 1_000_000_000 };
        const [subject, fresh] = [new Subject('token-bucket', slow), new Subject('token-bucket', slow)];
        const kept = mingle(
          subject,
          steps.map((step) => ({ ...step, wait: 0 })),
        );
        for (const { cost } of kept) fresh.take(cost, START);
        expect(subject.remaining(START)).toBe(fresh.remaining(START));
      }),
      RUNS,
    );
  });
});
