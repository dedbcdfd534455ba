import { Double } from 'mongodb';
import type { MongoExpression } from './strategies/mongo-strategy.js';

/** A value that anybody but us chose, as an expression: never read as a path or an operator. */
export function literal(value: number | string | readonly number[] | readonly string[]): MongoExpression {
  return { $literal: asStored(value) };
}

/** Numbers as doubles, which they are in JavaScript: the driver would make integers of some, and those calculate otherwise. */
function asStored(value: number | string | readonly (number | string)[]): unknown {
  if (typeof value === 'number') return new Double(value);
  return typeof value === 'string' ? value : value.map(asStored);
}
