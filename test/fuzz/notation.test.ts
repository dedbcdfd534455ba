import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { parse, parseMany, type RateLimitItem, RateLimitParseError, ConfigurationError } from 'nestjs-limits';
import { encodeIdentifier } from '../../lib/common/identity.js';
import { itemsOf } from '../../lib/notation/limit-input.js';
import { parseDuration } from '../../lib/notation/parse-duration.js';
import { RateLimitItemPerMinute } from '../../lib/notation/rate-limit-items.js';
import { anything, anyText, fuzz, long, refusalOf, treacherousNames } from './fuzz.js';

const pieces = fc.constantFrom(
  ...['1', '0', '10', '007', '9007199254740991', '9007199254740992', '1e9', '-1', '1.5', '٣', '１', '²'],
  ...['/', 'per', 'PER', 'Per ', ' per ', '\\', '÷', 'pe', 'perper'],
  ...[' ', '\t', '\n', '\u00a0', '\u2003', '\ufeff', '\u200b', '\u2028', ''],
  ...[';', ',', '|', ';;', '，', '\0'],
  ...['concurrent', 'Concurrent', ' concurrent', 'concurrently', 'ｃoncurrent'],
  ...['second', 'Minutes', 'h', 'ms', 'week', 'year', 'K', 'ſ', 'fortnight', 'minutess', 'ｍin', 'İ'],
);
const nearMisses = fc
  .array(
    fc.oneof({ weight: 8, arbitrary: pieces }, { weight: 1, arbitrary: fc.oneof(anyText, treacherousNames) }),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(''));
const texts = fc.oneof(
  { weight: 10, arbitrary: nearMisses },
  { weight: 4, arbitrary: anyText },
  { weight: 1, arbitrary: long(fc.oneof(pieces, nearMisses)) },
);

/** Returns the beginning of a text as a message shows it, up to the first escaped character. */
function plainBeginning(text: string): string {
  return /^[\w /;|,]{0,40}/.exec(text)?.[0] ?? '';
}

describe('The notation of limits', () => {
  fuzz(
    'parses any text as limits that print and parse the same, or reports the position of the error',
    texts,
    (text) => {
      let items: RateLimitItem[] = [];
      const refusal = refusalOf(() => (items = parseMany(text)));
      if (refusal !== undefined) {
        expect(refusal).toBeInstanceOf(RateLimitParseError);
        expect(refusal.message).toContain(`"${plainBeginning(text)}`);
        expect(refusal.message).toMatch(/ at position \d+\. Write "<amount> per \[multiple\] <unit>"/);
        return;
      }
      for (const item of items.slice(0, 20)) {
        expect(parse(item.toString()).equals(item)).toBe(true);
        expect(Number.isSafeInteger(item.amount) && item.amount >= 0).toBe(true);
        expect(Number.isSafeInteger(item.period) && item.period >= 1).toBe(true);
      }
    },
  );

  fuzz('reads one limit just where it reads a list of one', texts, (text) => {
    let many: RateLimitItem[] = [];
    const refused = refusalOf(() => (many = parseMany(text)));
    let one: RateLimitItem | undefined;
    const refusal = refusalOf(() => (one = parse(text)));
    expect(refusal === undefined).toBe(refused === undefined && many.length === 1);
    if (one !== undefined) expect(one.equals(many[0] as RateLimitItem)).toBe(true);
  });

  fuzz('reads lengths of time as a whole number of ms, or says how they are written', texts, (text) => {
    let duration = 1;
    const refusal = refusalOf(() => (duration = parseDuration(text)));
    expect(Number.isSafeInteger(duration) && duration >= 1).toBe(true);
    if (refusal === undefined) return;
    expect(refusal).toBeInstanceOf(ConfigurationError);
    expect(refusal.message).toContain(
      'A length of time is written as "15 minutes" or "1 hour"; got the string "',
    );
  });

  fuzz('takes anything for a limit that is one, and refuses whatever else', anything, (value) => {
    for (const read of [parse, parseMany, parseDuration, itemsOf] as ((value: unknown) => unknown)[])
      refusalOf(() => read(value));
  });
});

describe('An item', () => {
  fuzz(
    'is made of whole numbers and a namespace that is a text, or not at all',
    fc.tuple(
      fc.oneof(fc.nat(), anything),
      fc.oneof(fc.nat(), anything),
      fc.oneof(fc.constant('LIMITER'), anything),
    ),
    ([amount, multiples, namespace]) => {
      const make = RateLimitItemPerMinute as new (...given: unknown[]) => RateLimitItem;
      let item: RateLimitItem | undefined;
      const refusal = refusalOf(() => (item = new make(amount, multiples, namespace)));
      if (refusal !== undefined) expect([RangeError, TypeError]).toContain(refusal.constructor);
      else expect(item?.keyFor('a')).toContain('/a/');
    },
  );

  fuzz(
    'has different keys for different identifiers',
    fc.tuple(fc.array(anyText, { maxLength: 3 }), fc.array(anyText, { maxLength: 3 })),
    ([some, others]) => {
      const item = new RateLimitItemPerMinute(1);
      const isSame = JSON.stringify(some) === JSON.stringify(others);
      expect(item.keyFor(...some) === item.keyFor(...others)).toBe(isSame);
      expect(some.map(encodeIdentifier).join('/')).not.toMatch(/[{}\p{Cc}\p{Cs}]/u);
    },
  );
});
