import { describeDuration, describePeriod } from '../notation/describe-period.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** A number that is known, or the code that makes it. `unit` is the number of ms that one of it is. */
export type Quantity =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'code'; readonly text: string; readonly unit?: string | undefined };

/** How numbers out of code become a limit. */
export const TEMPLATE = '`$' + '{limit}/$' + '{ttl} ms`';

/** The functions of the throttler that return ms, with the unit of their argument. */
const HELPERS = [
  { name: 'seconds', unit: 'second', ms: 1000 },
  { name: 'minutes', unit: 'minute', ms: 60_000 },
  { name: 'hours', unit: 'hour', ms: 3_600_000 },
  { name: 'days', unit: 'day', ms: 86_400_000 },
  { name: 'weeks', unit: 'week', ms: 604_800_000 },
];

/** Reads a number: literals and their arithmetic, and the functions of the throttler such as `seconds(60)`. Other code stays code. */
export function quantityOf(source: Source, expression: ts.Expression): Quantity {
  const { ts } = source;
  const node = bare(source, expression);
  const helper = helperOf(source, node);
  const value = numberIn(source, node);
  if (value !== undefined) return { kind: 'number', value };
  if (helper !== undefined) return { kind: 'code', text: source.textOf(helper.argument), unit: helper.unit };
  const text = source.textOf(node);
  return { kind: 'code', text: ts.isArrowFunction(node) ? `(${text})` : text };
}

/** Reads the ttl of version 4. */
export function inSeconds(ttl: Quantity): Quantity {
  return ttl.kind === 'number'
    ? { kind: 'number', value: ttl.value * 1000 }
    : { kind: 'code', text: ttl.text, unit: 'second' };
}

/** Removes parentheses, casts and `!`. */
export function bare(source: Source, node: ts.Expression): ts.Expression {
  const { ts } = source;
  if (
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isNonNullExpression(node) ||
    (ts.isSatisfiesExpression as typeof ts.isSatisfiesExpression | undefined)?.(node) === true
  )
    return bare(source, (node as ts.ParenthesizedExpression).expression);
  return node;
}

function helperOf(
  source: Source,
  node: ts.Expression,
): { argument: ts.Expression; unit: string; ms: number } | undefined {
  if (!source.ts.isCallExpression(node) || node.arguments[0] === undefined) return undefined;
  const helper = HELPERS.find(({ name }) => source.isThrottlerName(node.expression, name));
  return helper && { ...helper, argument: node.arguments[0] };
}

function numberIn(source: Source, expression: ts.Expression): number | undefined {
  const { ts } = source;
  const node = bare(source, expression);
  if (ts.isNumericLiteral(node)) return Number(node.text.replaceAll('_', ''));
  const helper = helperOf(source, node);
  if (helper !== undefined) {
    const value = numberIn(source, helper.argument);
    return value === undefined ? undefined : value * helper.ms;
  }
  if (!ts.isBinaryExpression(node)) return undefined;
  const [left, right] = [numberIn(source, node.left), numberIn(source, node.right)];
  if (left === undefined || right === undefined) return undefined;
  const { kind } = node.operatorToken;
  if (kind === ts.SyntaxKind.AsteriskToken) return left * right;
  if (kind === ts.SyntaxKind.PlusToken) return left + right;
  return kind === ts.SyntaxKind.SlashToken ? left / right : undefined;
}

/**
 * Writes a limit as code: `'10/minute'`, or a template if a part of it is code. `undefined` for one that
 * has another meaning in this library, such as 0.
 */
export function limitCode(source: Source, limit: Quantity, ttl: Quantity): string | undefined {
  if (limit.kind === 'number' && !(Number.isSafeInteger(limit.value) && limit.value > 0)) return undefined;
  if (ttl.kind === 'number' && !(Number.isSafeInteger(ttl.value) && ttl.value > 0)) return undefined;
  if (limit.kind === 'code' && limit.text === 'Infinity') return source.literal('unlimited');
  const amount = limit.kind === 'number' ? String(limit.value) : `\${${limit.text}}`;
  const period =
    ttl.kind === 'number'
      ? periodText(ttl.value)
      : `/\${${ttl.text}} ${ttl.unit === undefined ? 'ms' : `${ttl.unit}s`}`;
  const text = amount + period;
  return limit.kind === 'number' && ttl.kind === 'number' ? source.literal(text) : `\`${text}\``;
}

function periodText(ms: number): string {
  const period = describePeriod(ms);
  return /^\d/.test(period) ? ` per ${period}` : `/${period}`;
}

/** Writes a block as code; `undefined` if it is as long as the window, which the module has as its default. */
export function blockCode(source: Source, block: Quantity | undefined, ttl: Quantity): string | undefined {
  if (block === undefined) return undefined;
  if (block.kind === 'number') {
    if (ttl.kind === 'number' && ttl.value === block.value) return undefined;
    return block.value > 0 ? source.literal(describeDuration(block.value)) : '[]';
  }
  if (ttl.kind === 'code' && ttl.text === block.text && ttl.unit === block.unit) return undefined;
  return `\`\${${block.text}} ${block.unit === undefined ? 'ms' : `${block.unit}s`}\``;
}
