import type { Consumption } from '../../../strategies/strategy.js';

/** An aggregation expression of MongoDB: a constant, a path such as `'$look.count'`, or an operator with its operands. */
export type MongoExpression = string | number | boolean | null | object;

/** What the expressions of one limit are made of. Every number is a double, so that they calculate exactly as JavaScript does. */
export interface MongoTerms {
  /** Path of the stored state, which may be missing. */
  readonly cell: string;
  /** Path of what {@link MongoStrategy.look} made of it. */
  readonly look: string;
  /** Epoch ms. */
  readonly now: MongoExpression;
  readonly amount: MongoExpression;
  readonly period: MongoExpression;
  readonly burst: MongoExpression;
  readonly cost: MongoExpression;
}

/**
 * A strategy's steps as expressions for an update pipeline of MongoDB: the twin of a {@link Strategy}, exactly as exact.
 *
 * What they store are the fields of the strategy's own state, and in `end` the epoch ms from which it means the same as
 * none; `null` forgets it. So what the steps have to say of times is asked of the strategy itself, once the state is read.
 */
export interface MongoStrategy {
  /** The state as it stands now, as an object; of no state, or one that has ended, what stands for nothing consumed. */
  look(terms: MongoTerms): object;
  /** Whole units that could be consumed now; reads what `look` made. */
  remaining(terms: MongoTerms): MongoExpression;
  /** The state once an allowed cost above 0 is taken. */
  take(terms: MongoTerms): MongoExpression;
  /** The state after a hit that takes nothing; as stored, where that changes nothing. */
  refuse(terms: MongoTerms): MongoExpression;
  /** The state once the cost is given back: what one consumption took, if it still counts, or so much of the current window. */
  refund(terms: MongoTerms, consumption?: MongoConsumption): MongoExpression;
  /** What of a stored state to read, where the whole would be too much: a state that answers alike. Needs no `look`. */
  read?(terms: MongoTerms): MongoExpression;
}

/** {@link Consumption} as expressions. */
export type MongoConsumption = { readonly [Name in keyof Consumption]: MongoExpression };

export function add(...terms: MongoExpression[]): object {
  return { $add: terms };
}

export function subtract(a: MongoExpression, b: MongoExpression): object {
  return { $subtract: [a, b] };
}

export function multiply(a: MongoExpression, b: MongoExpression): object {
  return { $multiply: [a, b] };
}

export function divide(a: MongoExpression, b: MongoExpression): object {
  return { $divide: [a, b] };
}

/** The least of what is there: a missing value counts for nothing. */
export function min(...values: MongoExpression[]): object {
  return { $min: values };
}

/** The greatest of what is there: a missing value counts for nothing. */
export function max(...values: MongoExpression[]): object {
  return { $max: values };
}

export function equal(a: MongoExpression, b: MongoExpression): object {
  return { $eq: [a, b] };
}

/** Whether a < b. A missing value is less than every number. */
export function less(a: MongoExpression, b: MongoExpression): object {
  return { $lt: [a, b] };
}

/** Whether a ≤ b. A missing value is less than every number. */
export function atMost(a: MongoExpression, b: MongoExpression): object {
  return { $lte: [a, b] };
}

export function and(...conditions: MongoExpression[]): object {
  return { $and: conditions };
}

export function or(...conditions: MongoExpression[]): object {
  return { $or: conditions };
}

export function not(condition: MongoExpression): object {
  return { $not: [condition] };
}

/** The value of the first case whose condition holds. */
export function choose(
  cases: readonly (readonly [condition: MongoExpression, value: MongoExpression])[],
  otherwise: MongoExpression,
): MongoExpression {
  return cases.reduceRight<MongoExpression>(
    (rest, [condition, value]) => ({ $cond: [condition, value, rest] }),
    otherwise,
  );
}

/** Gives names to values: `'$$name'` in what follows. */
export function withValues(values: Readonly<Record<string, MongoExpression>>, then: MongoExpression): object {
  return { $let: { vars: values, in: then } };
}

/** The fields of an object, some of them replaced or added. */
export function merged(...objects: MongoExpression[]): object {
  return { $mergeObjects: objects };
}

/** The elements for which a condition on `'$$this'` holds. */
export function filtered(elements: MongoExpression, condition: MongoExpression): object {
  return { $filter: { input: elements, cond: condition } };
}

/** What an expression of `'$$this'` makes of each element. */
export function mapped(elements: MongoExpression, value: MongoExpression): object {
  return { $map: { input: elements, as: 'this', in: value } };
}

/** The twin of `divideUp`. */
export function divideUp(a: MongoExpression, b: MongoExpression): object {
  const rest = { $mod: ['$$a', '$$b'] };
  return withValues({ a, b }, add(divide(subtract('$$a', rest), '$$b'), choose([[less(0, rest), 1]], 0)));
}

/** The twin of `divideDown`. */
export function divideDown(a: MongoExpression, b: MongoExpression): object {
  return withValues({ a, b }, divide(subtract('$$a', { $mod: ['$$a', '$$b'] }), '$$b'));
}

/** The twin of `usageThatFreesOne`. */
export function usageThatFreesOne(used: MongoExpression, amount: MongoExpression): object {
  return max(0, subtract(min(used, amount), 1));
}
