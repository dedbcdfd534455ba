import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { ConfigurationError, storageFromString } from 'nestjs-limits';
import { messageOf, quote } from '../../lib/common/describe.js';
import { hostName, parseStorageUri } from '../../lib/storages/storage-uri.js';
import { anything, anyText, fuzz, laterRefusalOf, long, refusalOf } from './fuzz.js';

const FORM = 'memory://';
/** Part of every password. No error may show it. */
const SECRET = 'sEcReT';

const schemes = fc.constantFrom(
  'redis',
  'rediss',
  'redis+unix',
  'redis+sentinel',
  'memcached',
  'mongodb',
  'mongodb+srv',
  'etcd',
  'postgresql',
  'async+redis',
  'memory',
  'http',
  '',
  '1a',
  'a b',
);
const raw = fc.constantFrom(
  '',
  '@',
  ':',
  '/',
  '?',
  '#',
  ' ',
  '%',
  '%zz',
  '%40',
  '1',
  '1/',
  '[',
  ']',
  ',',
  '\n',
  '\ud800',
  '"',
  '&',
  '=',
);
const passwords = fc.tuple(raw, raw, raw, raw).map(([a, b, c, d]) => `${a}${b}${SECRET}${c}${SECRET}${d}`);
const hosts = fc.oneof(
  fc.constantFrom(
    'localhost',
    'localhost:6379',
    '[::1]:1',
    '[::1',
    'a,b:2',
    'a,,b',
    ':1',
    'a:0',
    'a:99999',
    'a:1:2',
    '',
    'ü',
    '%',
    'a b',
  ),
  anyText,
);
const ends = fc.oneof(
  fc.constantFrom('', '/', '/0', '/x', '/%', '?', '?a=1', '/0?db=2', '#x', '//', '/../'),
  anyText,
);

/**
 * Turns the rest of a password into an option after an "@" that ends it, since the value of an
 * option may have an "@".
 */
const LOOKS_LIKE_OPTION = /@.*\?.*=.*@/s;

interface GivenUri {
  readonly uri: string;
  readonly scheme: string;
  readonly password: string;
}
const withPasswords: fc.Arbitrary<GivenUri> = fc
  .tuple(schemes, fc.constantFrom('user', '', 'u@b', 'u%'), passwords, hosts, ends)
  .map(([scheme, user, password, host, end]) => ({
    scheme,
    password,
    uri: `${scheme}://${user}:${password}@${host}${end}`,
  }));

describe('URIs of storages', () => {
  fuzz('are parsed, or refused without any part of their password', withPasswords, ({ uri }) => {
    let shown: string[] = [];
    const refusal = refusalOf(() => {
      const { scheme, hosts: found } = parseStorageUri(uri, FORM, 1);
      shown = [scheme, ...found.map(hostName)];
    });
    if (refusal !== undefined) expect(refusal).toBeInstanceOf(ConfigurationError);
    if (LOOKS_LIKE_OPTION.test(uri)) return;
    // Errors show the name of a storage, but never a password that was split at the wrong place.
    expect([...shown, refusal?.message].join()).not.toContain(SECRET);
  });

  fuzz(
    'are taken apart, or refused, whatever they are',
    fc.oneof(
      anyText,
      anyText.map((text) => `redis://${text}`),
      long(fc.constantFrom('a', 'redis://', ':', '@', '/', ',', '[', 'a:1,', '%41')),
    ),
    (uri) => {
      const refusal = refusalOf(() => parseStorageUri(uri, FORM, 1));
      if (refusal !== undefined) expect(refusal).toBeInstanceOf(ConfigurationError);
    },
  );

  fuzz(
    'that name no storage are refused, and with them what is no URI',
    fc.oneof(
      withPasswords.filter(({ scheme }) => ['http', '', '1a', 'a b'].includes(scheme)).map(({ uri }) => uri),
      anything.filter((value) => !/^(async\+)?memory:/.test(typeof value === 'string' ? value : '')),
    ),
    async (uri) => {
      const refusal = await laterRefusalOf(() => storageFromString(uri as string));
      expect(refusal).toBeInstanceOf(ConfigurationError);
      expect(refusal?.message).not.toContain(SECRET);
    },
  );

  fuzz('are shown in messages without their password', withPasswords, ({ uri }) => {
    expect(quote(uri)).not.toContain(SECRET);
    if (!/\s/.test(uri)) expect(messageOf(new Error(`connect to ${uri} failed`))).not.toContain(SECRET);
  });
});
