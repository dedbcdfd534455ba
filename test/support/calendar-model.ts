import type { CalendarRule } from '../../lib/strategies/calendar.js';

/** Ms of the units of fixed length. */
const LENGTHS: Readonly<Record<string, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
};
const DAY = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Returns the local time of an instant, as the epoch ms of the same time in UTC. */
export function localTime(timeZone: string, instant: number): number {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
  }
  const fields = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const field = (type: Intl.DateTimeFormatPartTypes): number => fields.get(type) ?? 0;
  const millisecond = ((instant % 1000) + 1000) % 1000;
  return Date.UTC(
    field('year'),
    field('month') - 1,
    field('day'),
    field('hour'),
    field('minute'),
    field('second'),
    millisecond,
  );
}

const instants = new Map<string, number>();

/** Returns the instant of a local time: the first of a repeated one; one in a gap is shifted forward by the gap. */
export function instantOf(timeZone: string, local: number): number {
  const key = `${timeZone} ${local}`;
  let instant = instants.get(key);
  if (instant === undefined) {
    instant = findInstant(timeZone, local);
    instants.set(key, instant);
  }
  return instant;
}

function findInstant(timeZone: string, local: number): number {
  const offsetAt = (instant: number): number => localTime(timeZone, instant) - instant;
  const [before, after] = [offsetAt(local - 1.5 * DAY), offsetAt(local + 1.5 * DAY)];
  const meant = [local - before, local - after].filter((instant) => localTime(timeZone, instant) === local);
  return meant.length > 0 ? Math.min(...meant) : local - before;
}

/** Returns the first instant of a local day, or of the next one if the zone skips it. */
export function startOfDay(timeZone: string, day: number): number {
  const midnight = instantOf(timeZone, day);
  if (localTime(timeZone, midnight) === day) return midnight;
  // Midnight is in a gap: the first instant after it.
  let [early, late] = [midnight - DAY, midnight];
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2);
    if (localTime(timeZone, middle) >= day) late = middle;
    else early = middle;
  }
  return late;
}

/** Returns all bounds of a calendar's windows in [from, to), by brute force over the clock of the zone. */
export function boundsBetween(rule: CalendarRule, from: number, to: number): number[] {
  const bounds = new Set<number>();
  const days = (margin: number): number[] => {
    const first = Math.floor(localTime(rule.timeZone, from) / DAY) * DAY - margin;
    const length = Math.ceil((to - from + 2 * margin) / DAY) + 2;
    return Array.from({ length }, (_, index) => first + index * DAY);
  };
  if (isTimed(rule)) for (const bound of timedBounds(rule, days(3 * DAY), from, to)) bounds.add(bound);
  else for (const bound of datedBounds(rule, from, to)) bounds.add(bound);
  return [...bounds].filter((bound) => bound >= from && bound < to).sort((one, other) => one - other);
}

/** Returns the window of a calendar that holds an instant, by brute force. */
export function windowByDefinition(rule: CalendarRule, now: number): { start: number; end: number } {
  const length = (LENGTHS[rule.unit] ?? 366 * DAY) * rule.multiple;
  const reach = isTimed(rule) ? Math.min(length, 2 * DAY) : length + 3 * DAY;
  const bounds = boundsBetween(rule, now - reach, now + reach + 1);
  const end = bounds.find((bound) => bound > now) ?? Infinity;
  const start = bounds.findLast((bound) => bound <= now) ?? -Infinity;
  return { start, end };
}

function isTimed({ unit }: CalendarRule): boolean {
  return (LENGTHS[unit] ?? DAY) < DAY;
}

function anchorOf({ anchor }: CalendarRule): number {
  return Date.parse(anchor.includes('T') ? `${anchor}Z` : `${anchor}T00:00Z`);
}

function* timedBounds(
  rule: CalendarRule,
  days: readonly number[],
  from: number,
  to: number,
): Iterable<number> {
  const { timeZone, unit, multiple } = rule;
  const offset = anchorOf(rule) - Math.floor(anchorOf(rule) / DAY) * DAY;
  const length = (LENGTHS[unit] ?? 1) * multiple;
  const origins = days.map((day) => startOfDay(timeZone, day) + offset);
  for (const [index, origin] of origins.entries()) {
    const end = Math.min(to, origins[index + 1] ?? origin);
    const skipped = Math.max(0, Math.floor((from - origin) / length));
    for (let bound = origin + skipped * length; bound < end; bound += length) yield bound;
  }
}

function* datedBounds(rule: CalendarRule, from: number, to: number): Iterable<number> {
  const { timeZone, unit, multiple } = rule;
  const anchor = anchorOf(rule);
  const shortest = (LENGTHS[unit] ?? (unit === 'month' ? 28 : 365) * DAY) * multiple;
  const longest = (LENGTHS[unit] ?? (unit === 'month' ? 31 : 366) * DAY) * multiple;
  const steps = (time: number, length: number): number => (time - anchor) / length;
  const first = Math.min(steps(from, shortest), steps(from, longest)) - 3;
  const last = Math.max(steps(to, shortest), steps(to, longest)) + 3;
  for (let step = Math.floor(first); step <= last; step++) {
    const local = stepped(anchor, unit, step * multiple);
    if (local >= from - 4 * DAY && local <= to + 4 * DAY) yield instantOf(timeZone, local);
  }
}

/** Adds units to a local time; a day that a month lacks is its last one. */
function stepped(local: number, unit: string, count: number): number {
  const length = LENGTHS[unit];
  if (length !== undefined) return local + count * length;
  const date = new Date(local);
  const month = date.getUTCMonth() + (unit === 'year' ? 12 * count : count);
  const last = new Date(Date.UTC(date.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const day = Math.min(date.getUTCDate(), last);
  return Date.UTC(date.getUTCFullYear(), month, day) + (local - Math.floor(local / DAY) * DAY);
}
