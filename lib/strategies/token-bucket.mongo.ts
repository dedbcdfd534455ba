import {
  add,
  choose,
  divideDown,
  divideUp,
  less,
  max,
  merged,
  min,
  multiply,
  subtract,
  withValues,
  type MongoStrategy,
} from './mongo-strategy.js';

/** Fields: level, at, end. */
export const tokenBucketMongo: MongoStrategy = {
  look: ({ cell, now, amount }) => ({
    level: max(0, subtract(`${cell}.level`, multiply(max(0, subtract(now, `${cell}.at`)), amount))),
  }),

  remaining: ({ look, period, burst }) =>
    divideDown(max(0, subtract(multiply(burst, period), `${look}.level`)), period),

  take: ({ cell, look, now, amount, period, cost }) =>
    withValues(
      { level: add(`${look}.level`, multiply(cost, period)) },
      {
        level: '$$level',
        at: now,
        // Never sooner than it was kept for: a smaller plan, which refills slower, may have said so.
        end: max(`${cell}.end`, add(now, divideUp('$$level', max(1, amount)))),
      },
    ),

  refuse: ({ cell, now }) => choose([[less(now, `${cell}.at`), merged(cell, { at: now })]], cell),

  refund: ({ cell, look, now, amount, period, cost }, consumption) => {
    const unfilled =
      consumption === undefined
        ? `${look}.level`
        : max(0, subtract(consumption.window, multiply(subtract(now, consumption.at), amount)));
    return withValues(
      { level: subtract(`${look}.level`, min(`${look}.level`, multiply(cost, period), unfilled)) },
      choose([[less(0, '$$level'), { level: '$$level', at: now, end: `${cell}.end` }]], null),
    );
  },
};
