import { RateLimitParseError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { RateLimitItemConcurrent } from './rate-limit-item-concurrent.js';
import type { RateLimitItem } from './rate-limit-item.js';
import { findItemClass, knownGranularities } from './registry.js';

/**
 * Parses one limit: `amount (/ | per) [multiple] unit`, or `amount concurrent`. White space is free, case is not significant.
 *
 * @throws RateLimitParseError naming the input, the position and what was expected there
 * @example
 * ```ts
 * import { parse } from 'nestjs-limits';
 *
 * parse('10/minute').amount; // 10
 * parse('5 per 2 hours').getExpiry(); // 7200
 * parse('5 concurrent').amount; // 5
 * ```
 */
export function parse(text: string): RateLimitItem {
  const reader = new NotationReader(text);
  const item = reader.readItem();
  reader.expectEnd('the end of the limit (use parseMany for several)');
  return item;
}

/**
 * Parses one or more limits separated by `;`, `,` or `|`.
 *
 * @throws RateLimitParseError naming the input, the position and what was expected there
 * @example
 * ```ts
 * import { parseMany } from 'nestjs-limits';
 *
 * parseMany('1/second; 100/hour').map(String); // ['1 per 1 second', '100 per 1 hour']
 * ```
 */
export function parseMany(text: string): RateLimitItem[] {
  const reader = new NotationReader(text);
  const items = [reader.readItem()];
  while (reader.skip(/[;,|]/y)) items.push(reader.readItem());
  reader.expectEnd('a separator (";", "," or "|") or the end');
  return items;
}

/** Reads the notation from left to right and keeps its position for errors. */
class NotationReader {
  #position = 0;

  constructor(private readonly text: string) {
    if (typeof text !== 'string') {
      throw new RateLimitParseError(
        typeof text === 'object' || typeof text === 'function' ? describeValue(text) : String(text), // some objects cannot be converted to a string
        0,
        `a string such as "10/minute", got ${describeValue(text)},`,
      );
    }
  }

  readItem(): RateLimitItem {
    const amount = this.#readCount();
    if (amount === undefined) this.#fail('a whole number (the amount)');
    if (this.skip(/concurrent(?![a-z])/iy)) return new RateLimitItemConcurrent(amount);
    if (!this.skip(/\/|per/iy)) this.#fail('"/", "per" or "concurrent"');
    const multiples = this.#readCount() ?? 1;

    const start = this.#skipSpace();
    const unit = this.#match(/[a-z]+/iy);
    const itemClass = unit === undefined ? undefined : findItemClass(unit);
    if (itemClass === undefined) this.#fail(`a unit (${knownGranularities().join(', ')})`, start);
    if (multiples * itemClass.granularity.milliseconds > Number.MAX_SAFE_INTEGER)
      this.#fail('a shorter window', start);
    return new itemClass(amount, multiples);
  }

  /** Skips white space and then the pattern; returns true if the pattern matched. */
  skip(pattern: RegExp): boolean {
    this.#skipSpace();
    return this.#match(pattern) !== undefined;
  }

  expectEnd(expected: string): void {
    this.#skipSpace();
    if (this.#position < this.text.length) this.#fail(expected);
  }

  #readCount(): number | undefined {
    const start = this.#skipSpace();
    const digits = this.#match(/[0-9]+/y);
    if (digits === undefined) return undefined;
    const count = Number(digits);
    if (!Number.isSafeInteger(count)) this.#fail(`a number up to ${Number.MAX_SAFE_INTEGER}`, start);
    return count;
  }

  #skipSpace(): number {
    this.#match(/\s+/y);
    return this.#position;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.text)?.[0];
    this.#position += found?.length ?? 0;
    return found;
  }

  #fail(expected: string, position = this.#position): never {
    throw new RateLimitParseError(this.text, position, expected);
  }
}
