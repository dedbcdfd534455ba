import { describePeriod } from '../../notation/describe-period.js';

/** A throttler of `@nestjs/throttler`: `ttl` is in ms. */
interface Throttler {
  readonly limit: unknown;
  readonly ttl: unknown;
}

/**
 * Returns the text for limits in a form of `@nestjs/throttler`, quoted: `{ limit, ttl }`, `[{ limit, ttl }]` or
 * `{ throttlers: [{ limit, ttl }] }`. Returns `undefined` for any other value.
 */
export function throttlerLimits(given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const { throttlers = given } = given as { throttlers?: unknown };
  return textOfAll(Array.isArray(throttlers) ? throttlers : [throttlers]);
}

/** The same for limits by name, as `@Throttle` takes them: `{ default: { limit, ttl } }`. */
export function namedThrottlerLimits(given: unknown): string | undefined {
  return typeof given === 'object' && given !== null ? textOfAll(Object.values(given)) : undefined;
}

function textOfAll(candidates: readonly unknown[]): string | undefined {
  return candidates.length > 0 && candidates.every(isThrottler)
    ? `'${candidates.map(textOf).join('; ')}'`
    : undefined;
}

function isThrottler(value: unknown): value is Throttler {
  return typeof value === 'object' && value !== null && 'limit' in value && 'ttl' in value;
}

/** A function or a fraction has no text: the form is shown with another limit. */
function textOf({ limit, ttl }: Throttler): string {
  if (!isCount(limit) || !isCount(ttl) || ttl === 0) return '10/minute';
  const period = describePeriod(ttl);
  return /^\d/.test(period) ? `${limit} per ${period}` : `${limit}/${period}`;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
