import {
  add,
  and,
  choose,
  divide,
  equal,
  less,
  max,
  multiply,
  subtract,
  withValues,
  type MongoExpression,
  type MongoStrategy,
  type MongoTerms,
} from './mongo-strategy.js';

/** Fields: previous, current, start, end. */
export const slidingWindowCounterMongo: MongoStrategy = {
  look: ({ cell, now, period }) => {
    const [previous, current, start] = [`${cell}.previous`, `${cell}.current`, `${cell}.start`];
    const none = { previous: 0, current: 0, start: now };
    return withValues(
      { elapsed: subtract(now, start) },
      choose(
        [
          [equal('$$elapsed', null), none],
          [less('$$elapsed', 0), { previous, current, start: now }],
          [less('$$elapsed', period), { previous, current, start }],
          [
            and(less('$$elapsed', multiply(2, period)), less(0, current)),
            { previous: current, current: 0, start: add(start, period) },
          ],
        ],
        none,
      ),
    );
  },

  remaining: ({ look, now, amount, period }) => {
    const left = subtract(period, subtract(now, `${look}.start`));
    const weight = { $floor: divide(multiply(`${look}.previous`, left), period) };
    return max(0, subtract(amount, add(weight, `${look}.current`)));
  },

  take: ({ look, period, cost }) =>
    stored(`${look}.previous`, add(`${look}.current`, cost), `${look}.start`, period),

  refuse: ({ cell, look, now, period }) =>
    choose(
      [[less(now, `${cell}.start`), stored(`${look}.previous`, `${look}.current`, `${look}.start`, period)]],
      cell,
    ),

  refund: (terms, consumption) => {
    const { look, period, cost } = terms;
    const [previous, current, start] = [`${look}.previous`, `${look}.current`, `${look}.start`];
    if (consumption === undefined) return stored(previous, without(current, cost), start, period);
    const { window } = consumption;
    return choose(
      [
        [equal(window, start), stored(previous, without(current, cost), start, period)],
        [equal(window, subtract(start, period)), stored(without(previous, cost), current, start, period)],
      ],
      stored(previous, current, start, period),
    );
  },
};

function without(count: MongoExpression, cost: MongoExpression): MongoExpression {
  return max(0, subtract(count, cost));
}

/** The state to store; none, when both windows are empty. */
function stored(
  previous: MongoExpression,
  current: MongoExpression,
  start: string,
  period: MongoTerms['period'],
): MongoExpression {
  return withValues(
    { previous, current },
    choose(
      [
        [
          less(0, '$$current'),
          { previous: '$$previous', current: '$$current', start, end: add(start, multiply(2, period)) },
        ],
        [
          less(0, '$$previous'),
          { previous: '$$previous', current: '$$current', start, end: add(start, period) },
        ],
      ],
      null,
    ),
  );
}
