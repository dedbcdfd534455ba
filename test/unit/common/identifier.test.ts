import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { encodeIdentifier } from '../../../lib/common/identity.js';

describe('encodeIdentifier', () => {
  it.each([
    ['plain', 'plain'],
    ['', ''],
    ['a/b%c{d}', 'a%2Fb%25c%7Bd%7D'],
    ['\t\n\r\0\x1f\x7f\x80\x9f', '%09%0A%0D%00%1F%7F%80%9F'],
    [' ü\u00a0\u2028🚀', ' ü\u00a0\u2028🚀'],
    ['\ud800🚀\udfff', '%D800🚀%DFFF'],
  ])('encodes %j as %j', (identifier, encoded) => {
    expect(encodeIdentifier(identifier)).toBe(encoded);
  });

  it('encodes all separators, braces and control characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (identifier) => {
        expect(encodeIdentifier(identifier)).toMatch(/^[^/{}\p{Cc}\p{Cs}]*$/u);
      }),
      { numRuns: 1000 },
    );
  });

  it('can be decoded, so that two identifiers never have the same encoding', () => {
    const decode = (text: string): string =>
      text.replace(/%(D[89A-F][0-9A-F]{2}|[0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(parseInt(hex, 16)),
      );
    const unit = fc.oneof(
      fc.constantFrom('%', '/', '{', '}', '2', 'F', '\n', 'D', '8', '0', '\ud800', '\udfff'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.string({ unit }), (identifier) => {
        expect(decode(encodeIdentifier(identifier))).toBe(identifier);
      }),
      { numRuns: 1000 },
    );
  });

  it('throws for a value that is not a string', () => {
    expect(() => encodeIdentifier(new Date(0) as unknown as string)).toThrow(
      new TypeError(
        'A rate limit identifier must be a string, got an object (Date). Convert it yourself, for example with String(id).',
      ),
    );
  });
});
