import { describeValue } from '../common/describe.js';
import { encodeIdentifier, flat } from '../common/identity.js';
import { unitsOf, type Granularity } from './granularity.js';

/** A part of keys that needs no encoding. */
const DEFAULT_NAMESPACE = 'LIMITER';

/**
 * A limit: `amount` hits per `multiples` × granularity. Immutable.
 *
 * @example
 * ```ts
 * import { RateLimitItemPerMinute } from 'nestjs-limits';
 *
 * const item = new RateLimitItemPerMinute(10, 2); // 10 per 2 minutes
 * item.getExpiry(); // 120
 * item.keyFor('user', '42'); // 'LIMITER/user/42/10/2/minute'
 * ```
 */
export abstract class RateLimitItem {
  /** The unit of this class; every concrete class declares its own. */
  static readonly granularity: Granularity;

  /** Units per window; at least 1. */
  readonly multiples: number;

  /**
   * @param amount hits allowed per window, a safe integer; 0 refuses every hit
   * @param multiples units per window; 0 means 1
   * @param namespace first part of every key
   * @throws RangeError when a number is negative, fractional or too large
   */
  constructor(
    /** Hits allowed per window; 0 refuses every hit. */
    readonly amount: number,
    multiples = 1,
    /** First part of every key. */
    readonly namespace = DEFAULT_NAMESPACE,
  ) {
    this.multiples = multiples === 0 ? 1 : multiples;
    assertCount('amount', amount, this);
    assertCount('multiple', multiples, this);
    assertCount('window in milliseconds', this.period, this);
    encodeIdentifier(namespace);
  }

  /** Returns true if a unit of the notation, such as `'minute'`, `'Minutes'` or `'min'`, means this class. */
  static checkGranularityString(unit: string): boolean {
    return unitsOf(this.granularity).includes(unit.toLowerCase());
  }

  /** The unit of this item. */
  get granularity(): Granularity {
    return (this.constructor as typeof RateLimitItem).granularity;
  }

  /** Length of the window in milliseconds. */
  get period(): number {
    return this.granularity.milliseconds * this.multiples;
  }

  /** Length of the window in seconds. */
  getExpiry(): number {
    return this.period / 1000;
  }

  /** Returns the key of this limit for an identity. Different identifiers never give the same key. */
  keyFor(...identifiers: string[]): string {
    return `${this.identityFor(identifiers)}/${this.cell}`;
  }

  /** Returns the part of {@link keyFor} that names the identity. */
  identityFor(identifiers: readonly string[]): string {
    let identity =
      this.namespace === DEFAULT_NAMESPACE ? DEFAULT_NAMESPACE : encodeIdentifier(this.namespace);
    for (const identifier of identifiers) identity += `/${encodeIdentifier(identifier)}`;
    return flat(identity);
  }

  /** The part of {@link keyFor} that names the limit: amount, multiples and granularity. */
  get cell(): string {
    return `${this.amount}/${this.multiples}/${this.granularity.name}`;
  }

  /** Returns true if the other item has the same amount, multiples, granularity and namespace. */
  equals(other: RateLimitItem): boolean {
    return this.cell === other.cell && this.namespace === other.namespace;
  }

  /** Compares by granularity, then multiples, then amount: negative if this item sorts first. For `Array.prototype.sort`. */
  compareTo(other: RateLimitItem): number {
    return (
      this.granularity.milliseconds - other.granularity.milliseconds ||
      this.multiples - other.multiples ||
      this.amount - other.amount
    );
  }

  /** Formats the item: `'10 per 1 minute'`. */
  toString(): string {
    return `${this.amount} per ${this.multiples} ${this.granularity.name}`;
  }
}

function assertCount(what: string, value: unknown, { amount, multiples, granularity }: RateLimitItem): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    const item = `${shown(amount)} per ${shown(multiples)} ${granularity.name}`;
    throw new RangeError(
      `The ${what} of the rate limit "${item}" must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got ${shown(value)}.`,
    );
  }
}

/** Formats any value, since callers without types may pass one that cannot be converted to a string. */
function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : describeValue(value);
}
