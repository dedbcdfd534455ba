import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse, parseMany, RateLimitParseError } from 'nestjs-limits';

/** Results of the Python library `limits` for a text. */
interface Row {
  readonly input: string;
  readonly items?: readonly {
    readonly amount: number;
    readonly multiples: number;
    readonly granularity: string;
    readonly expirySeconds: number;
    readonly key: string;
    readonly text: string;
  }[];
  readonly error?: true;
}

const fixture = new URL('../../fixtures/limits-grammar.json', import.meta.url);
const rows = (JSON.parse(readFileSync(fixture, 'utf8')) as Row[]).map((row) => ({
  ...row,
  shown: JSON.stringify(row.input),
}));
const accepted = rows.filter((row) => row.items !== undefined);
const refused = rows.filter((row) => row.error);

describe('As the Python library limits does,', () => {
  it('every row is either accepted or rejected, and there are some of both', () => {
    expect(accepted.length + refused.length).toBe(rows.length);
    expect([accepted.length, refused.length]).toEqual([30, 30]);
  });

  it.each(accepted)('parseMany parses $shown', ({ input, items }) => {
    const read = parseMany(input).map((item) => ({
      amount: item.amount,
      multiples: item.multiples,
      granularity: item.granularity.name,
      expirySeconds: item.getExpiry(),
      key: item.keyFor('user', '42'),
      text: String(item),
    }));
    expect(read).toEqual(items);
  });

  it.each(refused)('parseMany rejects $shown', ({ input }) => {
    expect(() => parseMany(input)).toThrow(RateLimitParseError);
  });

  it.each(accepted.filter(({ items }) => items?.length === 1))('parse parses $shown', ({ input, items }) => {
    expect(parse(input).keyFor('user', '42')).toBe(items?.[0]?.key);
  });

  it.each([...refused, ...accepted.filter(({ items }) => items?.length !== 1)])(
    'parse rejects $shown',
    ({ input }) => {
      expect(() => parse(input)).toThrow(RateLimitParseError);
    },
  );
});
