import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { strategies, strategyNames } from '../../lib/strategies/strategies.js';
import { play, RUNS, scenarios, START, Subject, type Taken } from '../support/strategies.js';

describe.each(strategyNames)('%s', (name) => {
  it('gives the same results when its state is stored and loaded after every step', () => {
    const scenario = scenarios(name, { clockGoesBack: true });
    fc.assert(
      fc.property(
        scenario,
        fc.infiniteStream(fc.option(fc.nat(), { freq: 2 })),
        ({ quota, steps }, settlements) => {
          const kept = new Subject(name, quota);
          const stored = new Subject(name, quota);
          const takings: Taken[] = [];
          const [seen, expected]: [unknown[], unknown[]] = [[], []];
          steps.reduce((at, { wait, cost }) => {
            const now = at + wait;
            const taken = kept.hit(cost, now);
            expected.push(taken, kept.evaluate(cost, now), kept.numbers);
            seen.push(stored.hit(cost, now), stored.evaluate(cost, now), stored.numbers);
            if (taken !== undefined) takings.push(taken);
            const choice: number | null = settlements.next().value;
            const which = (choice ?? 0) % (takings.length + 1);
            const settled = takings[which];
            if (choice !== null && settled !== undefined) {
              const actual = choice % (2 * quota.burst);
              takings[which] = kept.settle(settled, actual, now);
              seen.push(stored.settle(settled, actual, now));
              expected.push(takings[which]);
            }
            stored.storeAndLoad();
            return now;
          }, START);

          expect(seen).toEqual(expected);
        },
      ),
      RUNS,
    );
  });

  it('stores whole numbers only', () => {
    fc.assert(
      fc.property(scenarios(name, { clockGoesBack: true }), ({ quota, steps }) => {
        const subject = new Subject(name, quota);
        play(subject, steps);
        const numbers = subject.numbers ?? [];

        expect(numbers.filter((number) => !Number.isSafeInteger(number) || number < 0)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('equals no state from the instant at which its state expires', () => {
    fc.assert(
      fc.property(
        scenarios(name, { clockGoesBack: true }),
        fc.nat(),
        fc.nat(),
        ({ quota, steps }, seed, later) => {
          const subject = new Subject(name, quota);
          play(subject, steps);
          fc.pre(subject.expiresAt !== undefined);
          const cost = seed % (quota.burst + 2);
          const time = subject.expiresAt + (later % (3 * quota.period));

          expect(subject.evaluate(cost, time)).toEqual(new Subject(name, quota).evaluate(cost, time));
        },
      ),
      RUNS,
    );
  });

  it('replaces an expired state by a new one, and does not change the old one', () => {
    fc.assert(
      fc.property(
        scenarios(name, { clockGoesBack: true }),
        fc.nat(),
        fc.nat(),
        ({ quota, steps }, seed, later) => {
          const subject = new Subject(name, quota);
          play(subject, steps);
          const { numbers, expiresAt } = subject;
          fc.pre(numbers !== undefined && expiresAt !== undefined);
          const strategy = strategies[name];
          const expired = strategy.decode(numbers);
          const before = structuredClone(expired);
          const [cost, now] = [1 + (seed % quota.burst), expiresAt + (later % (3 * quota.period))];

          const next = strategy.commit(expired, quota, cost, now);

          expect(next).not.toBe(expired);
          expect(expired).toEqual(before);
          expect(next).toEqual(strategy.commit(undefined, quota, cost, now));
        },
      ),
      RUNS,
    );
  });
});
