import * as items from './rate-limit-items.js';

const UNITS = Object.values(items)
  .map(({ granularity }) => granularity)
  .sort((a, b) => b.milliseconds - a.milliseconds);

/** A window's length in words, in the largest unit that fits: `'minute'`, `'90 seconds'`, `'2 hours'`. */
export function describePeriod(milliseconds: number): string {
  for (const unit of UNITS) {
    const count = milliseconds / unit.milliseconds;
    if (count === 1) return unit.name;
    if (Number.isInteger(count)) return `${count} ${unit.name}s`;
  }
  return `${milliseconds} ms`;
}
