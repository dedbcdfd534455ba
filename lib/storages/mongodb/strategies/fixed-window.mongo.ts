import { add, and, choose, equal, less, max, min, subtract, type MongoStrategy } from './mongo-strategy.js';

/** Fields: count, end. */
export const fixedWindowMongo: MongoStrategy = {
  look: ({ cell, now, period }) => ({
    count: choose([[less(now, `${cell}.end`), `${cell}.count`]], 0),
    end: choose([[less(now, `${cell}.end`), min(`${cell}.end`, add(now, period))]], now),
  }),

  remaining: ({ look, amount }) => max(0, subtract(amount, `${look}.count`)),

  take: ({ look, now, period, cost }) => ({
    count: add(`${look}.count`, cost),
    end: choose([[less(0, `${look}.count`), `${look}.end`]], add(now, period)),
  }),

  refuse: ({ look }) => choose([[less(0, `${look}.count`), look]], null),

  refund: ({ cell, look, cost }, consumption) =>
    choose(
      [
        [
          and(
            less(0, `${look}.count`),
            consumption === undefined || equal(`${cell}.end`, consumption.window),
          ),
          choose(
            [[less(cost, `${look}.count`), { count: subtract(`${look}.count`, cost), end: `${cell}.end` }]],
            null,
          ),
        ],
      ],
      cell,
    ),
};
