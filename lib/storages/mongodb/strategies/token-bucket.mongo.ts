import {
  add,
  and,
  atMost,
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
  type MongoConsumption,
  type MongoExpression,
  type MongoStrategy,
} from './mongo-strategy.js';

/** Fields: level, at, since, consumed, end. */
export const tokenBucketMongo: MongoStrategy = {
  look: ({ cell, now, amount }) => ({
    level: max(0, subtract(`${cell}.level`, multiply(max(0, subtract(now, `${cell}.at`)), amount))),
  }),

  remaining: ({ look, period, burst }) =>
    divideDown(max(0, subtract(multiply(burst, period), `${look}.level`)), period),

  take: ({ cell, look, now, amount, period, cost }) =>
    withValues(
      { full: atMost(`${look}.level`, 0), level: add(`${look}.level`, multiply(cost, period)) },
      {
        level: '$$level',
        at: now,
        since: choose([['$$full', now]], min(`${cell}.since`, now)),
        consumed: add(choose([['$$full', 0]], `${cell}.consumed`), cost),
        // Kept no shorter than before: a smaller plan, which refills slower, may have said so.
        end: max(`${cell}.end`, add(now, divideUp('$$level', max(1, amount)))),
      },
    ),

  refuse: ({ cell, look, now, amount }) =>
    withValues(
      { end: add(now, divideUp(`${look}.level`, max(1, amount))) },
      choose(
        [
          [less(now, `${cell}.at`), merged(cell, { at: now, since: min(`${cell}.since`, now) })],
          // A smaller plan, which refills slower, needs it longer.
          [and(less(0, `${look}.level`), less(`${cell}.end`, '$$end')), merged(cell, { end: '$$end' })],
        ],
        cell,
      ),
    ),

  refund: ({ cell, look, now, period, cost }, consumption) =>
    withValues(
      { whole: multiply(cost, period), left: left(cell, look, period, consumption) },
      withValues(
        { level: subtract(`${look}.level`, max(0, min(`${look}.level`, '$$whole', '$$left'))) },
        choose(
          [
            [
              less(0, '$$level'),
              merged(cell, {
                level: '$$level',
                at: now,
                since: min(`${cell}.since`, now),
                consumed:
                  consumption === undefined
                    ? `${cell}.consumed`
                    : subtract(`${cell}.consumed`, choose([[less('$$whole', '$$left'), cost]], 0)),
              }),
            ],
          ],
          null,
        ),
      ),
    ),
};

/** The twin of `leftSince`. */
function left(
  cell: string,
  look: string,
  period: MongoExpression,
  consumption?: MongoConsumption,
): MongoExpression {
  if (consumption === undefined) return `${look}.level`;
  const later = multiply(subtract(`${cell}.consumed`, consumption.window), period);
  return choose([[less(consumption.at, `${cell}.since`), 0]], subtract(`${look}.level`, later));
}
