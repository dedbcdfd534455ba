import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import {
  boundedIdentity,
  encodeIdentifier,
  identityOf,
  joinIdentities,
  hashedIdentity,
} from '../../../lib/common/identity.js';

const digest = (text: string): string => createHash('sha256').update(text, 'utf16le').digest('base64url');

describe('An identity', () => {
  it('includes its type, so that a user is never an address', () => {
    expect(identityOf('ip', '1.2.3.4')).toBe('ip:1.2.3.4');
    expect(identityOf('key', '1.2.3.4')).toBe('key:1.2.3.4');
    expect(identityOf('key', 'ip:1.2.3.4')).toBe('key:ip:1.2.3.4');
  });

  it.each([
    ['a/b', 'key:a%2Fb'],
    ['a%2Fb', 'key:a%252Fb'],
    ['{a}', 'key:%7Ba%7D'],
    ['a\nb\u0000', 'key:a%0Ab%00'],
    ['\u0085', 'key:%85'],
    ['a b', 'key:a b'],
    ['名前 😀', 'key:名前 😀'],
    ['', 'key:'],
  ])('has unsafe characters encoded: %j', (value, identity) => {
    expect(identityOf('key', value)).toBe(identity);
  });

  it('is a digest if it is long, so that clients cannot make keys long', () => {
    expect(identityOf('key', 'x'.repeat(128))).toBe(`key:${'x'.repeat(128)}`);
    const long = 'x'.repeat(129);
    expect(identityOf('key', long)).toBe(`key#:${digest(long)}`);
    expect(identityOf('ip', long)).toBe(`ip#:${digest(long)}`);
    expect(identityOf('key', 'y'.repeat(4096))).toHaveLength('key#:'.length + 43);
    expect(identityOf('key', '/'.repeat(43))).toBe(`key#:${digest('/'.repeat(43))}`);
  });

  it.each(['x', '{', '\ud800'])('is a digest for a text of a million characters %j', (char) => {
    expect(identityOf('key', char.repeat(1_000_000))).toHaveLength('key#:'.length + 43);
  });

  it('is not the digest of another identity with that spelling', () => {
    const long = 'x'.repeat(129);
    expect(identityOf('key', `#:${digest(long)}`)).not.toBe(identityOf('key', long));
    expect(identityOf('key', digest(long))).not.toBe(identityOf('key', long));
  });

  it('is the same for the same identity and different for different ones', () => {
    const types = fc.constantFrom('ip' as const, 'key' as const);
    const identities = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({
        unit: fc.constantFrom('%', '2', 'F', '/', ':', '#', '{', 'é', '\u0301', '\ud83d', '\ude00'),
        maxLength: 300,
      }),
    );
    fc.assert(
      fc.property(types, identities, types, identities, (type, identity, otherType, other) => {
        expect(identityOf(type, identity) === identityOf(otherType, other)).toBe(
          type === otherType && identity === other,
        );
        expect(identityOf(type, identity)).toBe(identityOf(type, identity));
      }),
    );
  });

  it('differs for long identities with characters that UTF-8 cannot encode', () => {
    expect(identityOf('key', '\ud800'.repeat(129))).not.toBe(identityOf('key', '\ud801'.repeat(129)));
  });

  it.each([undefined, null, 7, {}, ['a'], Symbol('a')])(
    'throws for a value that is not a string: %p',
    (identity) => {
      expect(() => identityOf('key', identity as never)).toThrow(TypeError);
    },
  );
});

describe('The identity of a secret', () => {
  it('is a digest, even of a short one', () => {
    expect(hashedIdentity('api-key', 'k')).toBe(`api-key#:${digest('k')}`);
    expect(hashedIdentity('api-key', 'k')).not.toBe(identityOf('api-key', 'k'));
    expect(hashedIdentity('api-key', 'k')).not.toBe(hashedIdentity('session', 'k'));
    expect(hashedIdentity('api-key', 'k')).not.toBe(identityOf('api-key', `#:${digest('k')}`));
  });
});

describe('The identity of several parts', () => {
  const join = (parts: readonly (readonly [type: string, value: string])[]): string =>
    joinIdentities(parts.map(([type, value]) => identityOf(type, value)));

  it('is the same for two identities exactly when all their parts are the same', () => {
    const values = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', '/', '%', '2F', ':', '#', 'ip:', 'user:'), maxLength: 4 }),
      fc.string({ unit: 'binary', minLength: 120, maxLength: 140 }),
    );
    const parts = fc.array(fc.tuple(fc.constantFrom('ip', 'user', 'header:x'), values), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        expect(join(one) === join(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
  });

  it('differs for parts that join to the same text', () => {
    const distinct = [
      [['user', 'a/user:b']],
      [
        ['user', 'a'],
        ['user', 'b'],
      ],
      [
        ['user', 'a'],
        ['key', 'b/c'],
      ],
      [
        ['user', 'a/b'],
        ['key', 'c'],
      ],
      [
        ['key', 'b/c'],
        ['user', 'a'],
      ],
    ] as const;
    expect(new Set(distinct.map(join)).size).toBe(distinct.length);
  });
});

describe('An identity without a type', () => {
  it('is a digest beyond 128 characters, which no identifier spells', () => {
    const long = `LIMITER/${'x'.repeat(121)}`;
    expect(boundedIdentity(long.slice(0, 128))).toBe(long.slice(0, 128));
    expect(boundedIdentity(long)).toBe(`%#:${digest(long)}`);
    expect(boundedIdentity(long)).not.toBe(boundedIdentity(`${long}x`));
    expect(encodeIdentifier(`%#:${digest(long)}`)).not.toBe(boundedIdentity(long));
  });
});
