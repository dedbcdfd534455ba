import { describeValue, quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { unitsOf, type Granularity } from './granularity.js';
import type { RateLimitItem } from './rate-limit-item.js';
import {
  RateLimitItemPerMillisecond,
  RateLimitItemPerSecond,
  RateLimitItemPerMinute,
  RateLimitItemPerHour,
  RateLimitItemPerDay,
  RateLimitItemPerWeek,
  RateLimitItemPerMonth,
  RateLimitItemPerYear,
} from './rate-limit-items.js';

/** A concrete {@link RateLimitItem} class: what {@link registerGranularity} takes and `parse` instantiates. */
export interface RateLimitItemClass {
  new (amount: number, multiples?: number, namespace?: string): RateLimitItem;
  /** The unit of its items. */
  readonly granularity: Granularity;
}

/** Words of the notation that are no units. */
const RESERVED: ReadonlySet<string> = new Set(['per', 'concurrent']);

const BUILT_IN: readonly RateLimitItemClass[] = [
  RateLimitItemPerMillisecond,
  RateLimitItemPerSecond,
  RateLimitItemPerMinute,
  RateLimitItemPerHour,
  RateLimitItemPerDay,
  RateLimitItemPerWeek,
  RateLimitItemPerMonth,
  RateLimitItemPerYear,
];

const classesByUnit = new Map<string, RateLimitItemClass>(
  BUILT_IN.flatMap((itemClass) => unitsOf(itemClass.granularity).map((unit) => [unit, itemClass] as const)),
);

/**
 * Registers a custom unit for the notation.
 *
 * @throws ConfigurationError when a spelling is malformed or taken.
 * @example
 * ```ts
 * import { parse, RateLimitItem, registerGranularity } from 'nestjs-limits';
 *
 * class RateLimitItemPerFortnight extends RateLimitItem {
 *   static override readonly granularity = { name: 'fortnight', milliseconds: 14 * 86_400_000 };
 * }
 * registerGranularity(RateLimitItemPerFortnight);
 * parse('5/fortnight').getExpiry(); // 1209600
 * ```
 */
export function registerGranularity(itemClass: RateLimitItemClass): void {
  const { granularity } = itemClass as Partial<RateLimitItemClass>;
  if (typeof granularity?.name !== 'string' || !Array.isArray(granularity.aliases ?? []))
    throw new ConfigurationError(
      'A class of items needs "static readonly granularity = { name, milliseconds, aliases? }", the name a string and the aliases a list.',
    );
  const { name, milliseconds } = granularity;
  if (!Number.isSafeInteger(milliseconds) || milliseconds < 1) {
    throw new ConfigurationError(
      `The granularity ${quote(name)} must last a whole number of milliseconds, at least 1; got ${describeValue(milliseconds)}.`,
    );
  }
  const units = unitsOf(granularity);
  for (const unit of units) {
    if (typeof unit !== 'string' || !/^[a-z]+$/.test(unit) || RESERVED.has(unit)) {
      throw new ConfigurationError(
        `The unit ${typeof unit === 'string' ? quote(unit) : describeValue(unit)} of the granularity ${quote(name)} must be lower-case letters a-z other than "per" and "concurrent".`,
      );
    }
    const taken = classesByUnit.get(unit);
    if (taken !== undefined && taken !== itemClass) {
      throw new ConfigurationError(
        `The unit "${unit}" of the granularity "${name}" already means "${taken.granularity.name}".`,
      );
    }
  }
  for (const unit of units) classesByUnit.set(unit, itemClass);
}

/** Returns the item class of a unit, whatever its case; `undefined` if there is none. */
export function findItemClass(unit: string): RateLimitItemClass | undefined {
  return classesByUnit.get(unit.toLowerCase());
}

/** Returns the names of the registered granularities, in order of registration. */
export function knownGranularities(): string[] {
  return [...new Set([...classesByUnit.values()].map((itemClass) => itemClass.granularity.name))];
}
