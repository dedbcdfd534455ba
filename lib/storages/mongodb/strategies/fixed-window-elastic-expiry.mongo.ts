import { fixedWindowMongo } from './fixed-window.mongo.js';
import { add, and, choose, equal, less, merged, subtract, type MongoStrategy } from './mongo-strategy.js';

/** Fields: count, start, end. */
export const fixedWindowElasticExpiryMongo: MongoStrategy = {
  look: (terms) => ({
    ...fixedWindowMongo.look(terms),
    start: choose([[less(terms.now, `${terms.cell}.end`), `${terms.cell}.start`]], terms.now),
  }),

  remaining: fixedWindowMongo.remaining,

  take: ({ look, now, period, cost }) => ({
    count: add(`${look}.count`, cost),
    start: `${look}.start`,
    end: add(now, period),
  }),

  refuse: ({ cell, look, now, period }) =>
    choose([[less(0, `${look}.count`), merged(cell, { end: add(now, period) })]], null),

  refund: ({ cell, look, cost }, consumption) =>
    choose(
      [
        [
          and(
            less(0, `${look}.count`),
            consumption === undefined || equal(`${cell}.start`, consumption.window),
          ),
          choose(
            [[less(cost, `${look}.count`), merged(cell, { count: subtract(`${look}.count`, cost) })]],
            null,
          ),
        ],
      ],
      cell,
    ),
};
