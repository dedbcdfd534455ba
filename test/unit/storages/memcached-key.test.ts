import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import { assertMemcachedPrefix, memcachedKey } from '../../../lib/storages/memcached/memcached-key.js';

describe('a key on a Memcached server', () => {
  it.each(['limits:user/42', 'limits:{a}:b%2Fc', 'limits:', `limits:${'x'.repeat(243)}`])(
    'is the key itself if the protocol allows it: %s',
    (key) => {
      expect(memcachedKey('limits', key)).toBe(key);
    },
  );

  it.each([
    'limits:a b',
    'limits:a\tb',
    'limits:a\r\nflush_all',
    'limits:\0',
    'limits:\x7f',
    'limits:é',
    'limits:日本',
    `limits:${'x'.repeat(244)}`,
    `limits:${'x'.repeat(5000)}`,
  ])('is the prefix and a digest otherwise: %j', (key) => {
    expect(memcachedKey('limits', key)).toMatch(/^limits#\{[\w-]{43}\}$/);
  });

  it('is the same digest in every process', () => {
    expect(memcachedKey('limits', 'limits:é')).toBe('limits#{HbvPKkniX5YPuH_yjHC7sWnrQM8fhiEUIRlEgON1P-s}');
  });

  it('differs for texts that differ in any character, also in half of one', () => {
    const long = 'x'.repeat(300);
    const keys = [' ', '  ', '\t', 'é', 'e\u0301', '\ud800', '\ud801', '\ufffd', `${long}a`, `${long}b`];
    expect(new Set(keys.map((key) => memcachedKey('limits', `limits:${key}`))).size).toBe(keys.length);
  });

  it('cannot be chosen to equal the digest of another', () => {
    const digest = memcachedKey('limits', 'limits:é').slice('limits'.length);
    expect(memcachedKey('limits', `limits:${digest}`)).toBe(`limits:${digest}`);
  });

  it('fits for every prefix', () => {
    const prefix = 'x'.repeat(200);
    assertMemcachedPrefix(prefix);
    expect(memcachedKey(prefix, `${prefix}:${'y'.repeat(300)}`)).toHaveLength(246);
  });

  it.each([
    ['préfixe', 'the string "préfixe"'],
    ['x'.repeat(201), `the string "${'x'.repeat(77)}..." (201 characters)`],
  ])('has no prefix such as %s', (prefix, shown) => {
    expect(() => assertMemcachedPrefix(prefix)).toThrow(
      new ConfigurationError(
        `The keyPrefix of a Memcached storage must be up to 200 visible ASCII characters; got ${shown}.`,
      ),
    );
  });
});
