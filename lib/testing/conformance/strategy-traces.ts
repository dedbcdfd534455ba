import type { RateStrategyName } from '../../strategies/strategy.js';
import { DAY, hit, look, passes, refused, type Seen, type Step } from './scenario.js';

/** The exact numbers that every storage must report for a strategy. */
export interface StrategyTraces {
  /** Three hits per minute: the results of four hits in a row. */
  readonly filling: readonly Step[];
  /**
   * The same limit after {@link filling}: results 1 ms before quota returns, and exactly when it
   * does.
   */
  readonly returning: readonly Step[];
  /** Two hits per 360 days, both at the start: the result of a third hit after 31 days. */
  readonly afterMonth: Seen;
  /** Three hits per minute, all at the start: the result of a hit after the clock has gone back by whole minutes. */
  readonly afterStepBack: Seen;
}

const fixedWindow: StrategyTraces = {
  filling: [
    hit(0, passes(2, 60_000)),
    hit(1000, passes(1, 59_000)),
    hit(2000, passes(0, 58_000)),
    hit(3000, refused(0, 57_000, 57_000)),
  ],
  returning: [
    hit(59_999, refused(0, 1, 1)),
    hit(60_000, passes(2, 60_000)),
    look(119_999, passes(2, 1)),
    look(120_000, passes(3, 0)),
  ],
  afterMonth: refused(0, 329 * DAY, 329 * DAY),
  afterStepBack: refused(0, 60_000, 60_000),
};

/** One record per strategy of a rate. The compiler reports a new strategy that has none. */
export const strategyTraces: Readonly<Record<RateStrategyName, StrategyTraces>> = {
  'fixed-window': fixedWindow,
  // A window of the calendar begins at the start of a case, and where the clock goes back to.
  'calendar-window': fixedWindow,
  'fixed-window-elastic-expiry': {
    filling: [
      hit(0, passes(2, 60_000)),
      hit(1000, passes(1, 60_000)),
      hit(2000, passes(0, 60_000)),
      hit(3000, refused(0, 60_000, 60_000)),
    ],
    returning: [
      look(62_999, refused(0, 1, 1)),
      hit(62_999, refused(0, 60_000, 60_000)),
      look(122_998, refused(0, 1, 1)),
      hit(122_999, passes(2, 60_000)),
      look(182_998, passes(2, 1)),
      look(182_999, passes(3, 0)),
    ],
    afterMonth: refused(0, 360 * DAY, 360 * DAY),
    afterStepBack: refused(0, 60_000, 60_000),
  },
  'moving-window': {
    filling: [
      hit(0, passes(2, 60_000)),
      hit(1000, passes(1, 59_000)),
      hit(2000, passes(0, 58_000)),
      hit(3000, refused(0, 57_000, 57_000)),
    ],
    returning: [
      hit(59_999, refused(0, 1, 1)),
      hit(60_000, passes(0, 1000)),
      hit(60_999, refused(0, 1, 1)),
      hit(61_000, passes(0, 1000)),
      look(119_999, passes(1, 1)),
      look(120_000, passes(2, 1000)),
      look(121_000, passes(3, 0)),
    ],
    afterMonth: refused(0, 329 * DAY, 329 * DAY),
    afterStepBack: refused(0, 60_000, 60_000),
  },
  'sliding-window-counter': {
    filling: [
      hit(0, passes(2, 60_001)),
      hit(1000, passes(1, 59_001)),
      hit(2000, passes(0, 58_001)),
      hit(3000, refused(0, 57_001, 57_001)),
    ],
    returning: [
      hit(60_000, refused(0, 1, 1)),
      hit(60_001, passes(0, 20_000)),
      hit(80_000, refused(0, 1, 1)),
      hit(80_001, passes(0, 20_000)),
      look(119_999, passes(1, 2)),
      look(120_000, passes(1, 1)),
      look(120_001, passes(2, 30_000)),
      look(150_000, passes(2, 1)),
      look(150_001, passes(3, 0)),
    ],
    afterMonth: refused(0, 329 * DAY + 1, 329 * DAY + 1),
    afterStepBack: refused(0, 60_001, 60_001),
  },
  'token-bucket': {
    filling: [
      hit(0, passes(2, 20_000)),
      hit(1000, passes(1, 19_000)),
      hit(2000, passes(0, 18_000)),
      hit(3000, refused(0, 17_000, 17_000)),
    ],
    returning: [
      hit(19_999, refused(0, 1, 1)),
      hit(20_000, passes(0, 20_000)),
      hit(39_999, refused(0, 1, 1)),
      hit(40_000, passes(0, 20_000)),
      look(99_999, passes(2, 1)),
      look(100_000, passes(3, 0)),
    ],
    afterMonth: refused(0, 149 * DAY, 149 * DAY),
    afterStepBack: refused(0, 20_000, 20_000),
  },
};
