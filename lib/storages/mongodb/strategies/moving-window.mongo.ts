import {
  add,
  choose,
  equal,
  filtered,
  less,
  mapped,
  max,
  merged,
  min,
  subtract,
  usageThatFreesOne,
  withValues,
  type MongoExpression,
  type MongoStrategy,
  type MongoTerms,
} from './mongo-strategy.js';

/** Fields: times, end. The times are those of single units, oldest first: a cost of n is n of them. */
export const movingWindowMongo: MongoStrategy = {
  look: (terms) => ({ times: counted(terms) }),

  remaining: ({ look, amount }) => max(0, subtract(amount, { $size: `${look}.times` })),

  take: (terms) => {
    const { look, now, period, cost } = terms;
    // Bounded, since the server calculates ahead what depends on constants alone, be it a list of a million units.
    const units = { $range: [0, min(cost, movingWindowMongo.remaining(terms))] };
    return {
      times: { $concatArrays: [noneFromFuture(look, now), mapped(units, now)] },
      end: add(now, period),
    };
  },

  refuse: ({ cell, now, period }) =>
    choose(
      [[less(now, { $last: `${cell}.times` }), { times: noneFromFuture(cell, now), end: add(now, period) }]],
      cell,
    ),

  refund: ({ cell, look, cost }, consumption) => {
    const times =
      consumption === undefined
        ? { $slice: [`${look}.times`, max(0, subtract({ $size: `${look}.times` }, cost))] }
        : without(`${look}.times`, consumption.window, cost);
    return withValues({ times }, choose([[equal('$$times', []), null]], merged(cell, { times: '$$times' })));
  },

  /** Of the units that count, those that say when there is one more, when the cost fits, and when all are gone. */
  read: (terms) => {
    const { amount, cost } = terms;
    const last = subtract('$$used', 1);
    const freesOne = subtract(last, usageThatFreesOne('$$used', amount));
    const freesCost = subtract(last, max(0, subtract(amount, cost)));
    const units = [freesOne, max(freesOne, freesCost), last];
    return withValues(
      { counted: counted(terms) },
      withValues(
        { used: { $size: '$$counted' } },
        choose(
          [
            [
              less(0, '$$used'),
              {
                times: mapped(units, { $arrayElemAt: ['$$counted', '$$this'] }),
                totals: mapped(units, add('$$this', 1)),
                cut: 0,
                first: 0,
              },
            ],
          ],
          '$$REMOVE',
        ),
      ),
    );
  },
};

function counted({ cell, now, period }: MongoTerms): MongoExpression {
  return filtered({ $ifNull: [`${cell}.times`, []] }, less(subtract(now, period), '$$this'));
}

/** Times from the future, left by a clock that went back, count as now. */
function noneFromFuture(state: string, now: MongoExpression): MongoExpression {
  const times = `${state}.times`;
  return choose([[less(now, { $last: times }), mapped(times, min('$$this', now))]], times);
}

/** The times without so many of the units of one time. */
function without(times: string, time: MongoExpression, cost: MongoExpression): MongoExpression {
  return withValues(
    { units: filtered(times, equal('$$this', time)) },
    {
      $concatArrays: [
        filtered(times, less('$$this', time)),
        { $slice: ['$$units', max(0, subtract({ $size: '$$units' }, cost))] },
        filtered(times, less(time, '$$this')),
      ],
    },
  );
}
