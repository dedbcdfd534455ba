import * as itemClasses from './rate-limit-items.js';

const GRANULARITIES = Object.values(itemClasses)
  .map((itemClass) => itemClass.granularity)
  .sort((a, b) => b.milliseconds - a.milliseconds);

/** Formats the length of a window in the largest unit that divides it: `'minute'`, `'90 seconds'`, `'2 hours'`. */
export function describePeriod(milliseconds: number): string {
  const unit = GRANULARITIES.find((granularity) => milliseconds % granularity.milliseconds === 0);
  const { name, milliseconds: length } = unit ?? itemClasses.RateLimitItemPerMillisecond.granularity;
  return describeUnits({ unit: name, multiple: milliseconds / length });
}

/** Formats a number of units: `'month'`, `'2 weeks'`. */
export function describeUnits({ unit, multiple }: { unit: string; multiple: number }): string {
  return multiple === 1 ? unit : `${multiple} ${unit}s`;
}

/** Formats a duration: `'1 minute'`, `'90 seconds'`. */
export function describeDuration(milliseconds: number): string {
  const period = describePeriod(milliseconds);
  return /^\d/.test(period) ? period : `1 ${period}`;
}
