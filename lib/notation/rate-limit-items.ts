import type { Granularity } from './granularity.js';
import { RateLimitItem } from './rate-limit-item.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A limit per milliseconds. */
export class RateLimitItemPerMillisecond extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'millisecond',
    milliseconds: 1,
    aliases: ['ms'],
  };
}

/** A limit per seconds. */
export class RateLimitItemPerSecond extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'second',
    milliseconds: SECOND,
    aliases: ['s', 'sec', 'secs'],
  };
}

/** A limit per minutes. */
export class RateLimitItemPerMinute extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'minute',
    milliseconds: MINUTE,
    aliases: ['m', 'min', 'mins'],
  };
}

/** A limit per hours. */
export class RateLimitItemPerHour extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'hour',
    milliseconds: HOUR,
    aliases: ['h', 'hr', 'hrs'],
  };
}

/** A limit per days of 24 hours. */
export class RateLimitItemPerDay extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'day', milliseconds: DAY, aliases: ['d'] };
}

/** A limit per weeks of seven days. */
export class RateLimitItemPerWeek extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'week', milliseconds: 7 * DAY, aliases: ['w'] };
}

/** A limit per months of 30 days. */
export class RateLimitItemPerMonth extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'month', milliseconds: 30 * DAY };
}

/** A limit per years of 360 days: twelve months. */
export class RateLimitItemPerYear extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'year', milliseconds: 360 * DAY };
}
