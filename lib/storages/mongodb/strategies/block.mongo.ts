import { add, choose, less, merged, min, withValues, type MongoExpression } from './mongo-strategy.js';

/** What the expressions of a block are made of. */
export interface MongoBlockTerms {
  /** Path of the stored block, which may be missing. */
  readonly cell: string;
  /** Epoch ms. */
  readonly now: MongoExpression;
  /** In ms: an array, and the longest of them. */
  readonly durations: MongoExpression;
  readonly longest: MongoExpression;
}

/** The steps of a block as expressions: the twin of `block`. Fields: until, level, end. */
export const blockMongo = {
  blockedUntil: ({ cell, now, longest }: MongoBlockTerms): MongoExpression =>
    choose([[less(now, `${cell}.until`), min(`${cell}.until`, add(now, longest))]], now),

  /** A block from the future that ends at `until`, as {@link blockMongo.blockedUntil} would have it. */
  shortened: ({ cell, longest }: MongoBlockTerms, until: MongoExpression): MongoExpression =>
    merged(cell, { until, end: add(until, longest) }),

  commit: ({ cell, now, durations, longest }: MongoBlockTerms): MongoExpression => {
    const next = min(add(`${cell}.level`, 1), { $subtract: [{ $size: durations }, 1] });
    return withValues(
      { level: choose([[less(now, `${cell}.end`), next]], 0) },
      withValues(
        { until: add(now, { $arrayElemAt: [durations, '$$level'] }) },
        { until: '$$until', level: '$$level', end: add('$$until', longest) },
      ),
    );
  },
};
