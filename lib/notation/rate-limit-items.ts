import type { Granularity } from './granularity.js';
import { RateLimitItem } from './rate-limit-item.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** So many hits per so many milliseconds. */
export class RateLimitItemPerMillisecond extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'millisecond',
    milliseconds: 1,
    aliases: ['ms'],
  };
}

/** So many hits per so many seconds. */
export class RateLimitItemPerSecond extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'second',
    milliseconds: SECOND,
    aliases: ['s', 'sec', 'secs'],
  };
}

/** So many hits per so many minutes. */
export class RateLimitItemPerMinute extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'minute',
    milliseconds: MINUTE,
    aliases: ['m', 'min', 'mins'],
  };
}

/** So many hits per so many hours. */
export class RateLimitItemPerHour extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'hour',
    milliseconds: HOUR,
    aliases: ['h', 'hr', 'hrs'],
  };
}

/** So many hits per so many days of 24 hours. */
export class RateLimitItemPerDay extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'day', milliseconds: DAY, aliases: ['d'] };
}

/** So many hits per so many weeks of seven days. */
export class RateLimitItemPerWeek extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'week', milliseconds: 7 * DAY, aliases: ['w'] };
}

/** So many hits per so many months of 30 days. */
export class RateLimitItemPerMonth extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'month', milliseconds: 30 * DAY };
}

/** So many hits per so many years of 360 days: twelve months. */
export class RateLimitItemPerYear extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'year', milliseconds: 360 * DAY };
}
