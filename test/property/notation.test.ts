import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parse, parseMany, RateLimitItem, RateLimitParseError } from 'nestjs-limits';
import { unitsOf } from '../../lib/notation/granularity.js';
import * as itemClasses from '../../lib/notation/rate-limit-items.js';
import { RUNS } from '../support/strategies.js';

const items: fc.Arbitrary<RateLimitItem> = fc
  .tuple(fc.constantFrom(...Object.values(itemClasses)), fc.maxSafeNat(), fc.maxSafeNat())
  .map(([itemClass, amount, multiples]) => {
    const most = Math.floor(Number.MAX_SAFE_INTEGER / itemClass.granularity.milliseconds);
    return new itemClass(amount, multiples % (most + 1));
  });

const space = fc.stringMatching(/^[ \t\n\r\u00a0\u2003]{0,3}$/);
const separator = fc.constantFrom(';', ',', '|');

/** Generates spellings of an item: any name of its unit, any case, any white space. */
function writings(item: RateLimitItem): fc.Arbitrary<string> {
  const multiple =
    item.multiples === 1 ? fc.constantFrom('', '0', '1', '01') : fc.constant(String(item.multiples));
  const unit = fc.constantFrom(...unitsOf(item.granularity)).chain((text) => fc.mixedCase(fc.constant(text)));
  const per = fc.oneof(fc.constant('/'), fc.mixedCase(fc.constant('per')));
  return fc
    .tuple(space, fc.constant(item.amount), space, per, space, multiple, space, unit, space)
    .map((parts) => parts.join(''));
}

/** Generates texts that resemble limits. */
const nearlyLimits = fc
  .array(
    fc.oneof(
      fc.constantFrom('1', '0', '10', '007', '9007199254740991', '9007199254740992', '٣', '1.5', '-1', '1e3'),
      fc.constantFrom('/', 'per', 'PER', ' ', '\n', ';', ',', '|', '\\', ''),
      fc.constantFrom(
        'second',
        'Minutes',
        'h',
        'ms',
        'week',
        'year',
        'fortnight',
        'constructor',
        '__proto__',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('The notation', () => {
  it('parses the printed form of an item', () => {
    fc.assert(
      fc.property(items, (item) => {
        const read = parse(String(item));

        expect(read.equals(item)).toBe(true);
        expect(read.constructor).toBe(item.constructor);
        expect([read.getExpiry(), read.period, String(read)]).toEqual([
          item.getExpiry(),
          item.period,
          String(item),
        ]);
      }),
      RUNS,
    );
  });

  it('parses items in every spelling, one or several', () => {
    const written = items.chain((item) =>
      fc.record({ item: fc.constant(item), text: writings(item), separator }),
    );
    fc.assert(
      fc.property(fc.array(written, { minLength: 1, maxLength: 5 }), (list) => {
        const text = list.map((each, index) => (index === 0 ? '' : each.separator) + each.text).join('');

        expect(parseMany(text).map(String)).toEqual(list.map(({ item }) => String(item)));
      }),
      RUNS,
    );
  });

  it.each([
    ['any text', fc.string({ unit: 'binary', maxLength: 60 })],
    ['what nearly is a limit', nearlyLimits],
  ])('parses %s, or reports where it cannot', (_what, texts) => {
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const all = parseMany(text);
          expect(all.length).toBeGreaterThan(0);
          expect(all.filter((item) => !(item instanceof RateLimitItem))).toEqual([]);
        } catch (error) {
          if (!(error instanceof RateLimitParseError)) throw error;
          expect(error.input).toBe(text);
          expect(error.position).toBeGreaterThanOrEqual(0);
          expect(error.position).toBeLessThanOrEqual(text.length);
          expect(error.message).toContain(`at position ${error.position}.`);
        }
      }),
      { ...RUNS, numRuns: 5000 },
    );
  });

  it('parses a text as one item exactly if it parses as a list of one', () => {
    const read = (reader: (text: string) => unknown, text: string): string => {
      try {
        return String(reader(text));
      } catch (error) {
        return error instanceof RateLimitParseError ? 'refused' : String(error);
      }
    };
    fc.assert(
      fc.property(nearlyLimits, (text) => {
        const many = read(parseMany, text);
        expect(read(parse, text)).toBe(many.includes(',') ? 'refused' : many);
      }),
      RUNS,
    );
  });

  it.each([
    ['white space', ' '.repeat(1_000_000)],
    ['digits', '9'.repeat(1_000_000)],
    ['letters', `1/${'m'.repeat(1_000_000)}`],
    ['separators', `1/minute${';'.repeat(1_000_000)}`],
    ['almost white space', `1/minute${' '.repeat(1_000_000)}x`],
  ])('rejects a million characters of %s in one pass, and with a short message', (_what, text) => {
    expect(() => parseMany(text)).toThrow(RateLimitParseError);
    expect(() => parseMany(text)).toThrow(
      /^Cannot read the rate limit ".{77,160}\.\.\." \(10000\d\d characters\): expected .{1,99} at position \d+\./,
    );
  });

  it('parses a hundred thousand limits', () => {
    expect(parseMany(Array.from({ length: 100_000 }, () => '1/minute').join(';'))).toHaveLength(100_000);
  });
});
