import type { ExecutionContext } from '@nestjs/common';
import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { firstOf } from 'nestjs-limits';
import { ClientAddresses } from '../../lib/nest/identities/client-addresses.js';
import { IdentitySources } from '../../lib/nest/identities/identity-sources.js';
import type { IdentitySource } from '../../lib/nest/identities/identity-source.js';
import type { RateLimitKey } from '../../lib/nest/options/rate-limit-key.js';
import { Warnings } from '../../lib/nest/options/warnings.js';
import type { InjectedFunctions } from '../../lib/nest/options/user-functions.js';
import { resolveOptions } from '../../lib/nest/options/resolve-options.js';
import type { Transport } from '../../lib/nest/transports/transport.js';
import { identityOf, joinIdentities, hashedIdentity } from '../../lib/common/identity.js';
import { identityKey } from '../../lib/storages/server.storage.js';
import { memcachedKey } from '../../lib/storages/memcached/memcached-key.js';
import { anything, anyText, fuzz, laterRefusalOf, long, refusalOf, treacherousNames } from './fuzz.js';

const values = fc.oneof(
  { weight: 20, arbitrary: anyText },
  {
    weight: 10,
    arbitrary: fc
      .array(
        fc.constantFrom(
          '/',
          '%',
          '{',
          '}',
          ':',
          '#',
          '2F',
          '\0',
          '\n',
          ' ',
          'a',
          '\ud800',
          '\udc00',
          'user',
          'ip:',
          'é',
          'e\u0301',
        ),
        { maxLength: 30 },
      )
      .map((parts) => parts.join('')),
  },
  { weight: 4, arbitrary: treacherousNames },
  { weight: 1, arbitrary: long(fc.constantFrom('a', '{', '\ud800', '/', 'é'), 1_000_000) },
);
const types = fc.constantFrom('ip', 'user', 'key', 'api-key', 'session', 'header:x-tenant', 'header:x');

/** Maximum length of a key, even of an identity with several parts. */
const MAX_IDENTITY_LENGTH = 160;
/** Characters that would end a key, choose a cluster slot, or share a UTF-8 encoding. */
const BREAKS_KEYS = /[{}\p{Cc}\p{Cs}]/u;

/** Generates an identity, or one that differs only slightly. */
const pairs = fc.oneof(
  fc.tuple(values, values),
  fc
    .tuple(values, fc.nat({ max: 50 }), fc.constantFrom('', '/', '%', '%2F', '\0', '\ud800', 'x'))
    .map(([value, at, change]): [string, string] => [
      value,
      value.slice(0, at) + change + value.slice(at + 1),
    ]),
);

describe('Identities of single parts', () => {
  fuzz(
    'are different for different identities, short, and fit for every key',
    fc.tuple(pairs, types, types),
    ([[one, other], type, otherType]) => {
      const isSame = one === other && type === otherType;
      expect(identityOf(type, one) === identityOf(otherType, other)).toBe(isSame);
      expect(hashedIdentity(type, one) === hashedIdentity(otherType, other)).toBe(isSame);
      if (!isSame) expect(identityOf(type, one)).not.toBe(hashedIdentity(otherType, other));
      for (const identity of [identityOf(type, one), hashedIdentity(type, other)]) {
        expect(identity.length).toBeLessThanOrEqual(MAX_IDENTITY_LENGTH);
        expect(identity).not.toMatch(BREAKS_KEYS);
        expect(Buffer.from(identity).toString()).toBe(identity);
        expect(memcachedKey('app', identityKey('app', identity))).toMatch(/^[\x21-\x7e]{1,250}$/);
      }
    },
  );

  fuzz(
    'of several parts are different where one part is',
    fc.tuple(
      fc.array(values, { minLength: 1, maxLength: 3 }),
      fc.array(values, { minLength: 1, maxLength: 3 }),
    ),
    ([some, others]) => {
      const join = (parts: string[]): string => joinIdentities(parts.map((part) => identityOf('key', part)));
      const isSame = some.length === others.length && some.every((part, index) => part === others[index]);
      expect(join(some) === join(others)).toBe(isSame);
    },
  );

  fuzz('are of texts only', anything, (value) => {
    const refusal = refusalOf(() => identityOf('key', value as string));
    expect(refusal === undefined).toBe(typeof value === 'string');
  });
});

const requests = new WeakMap<object, unknown>();
const transport = { requestOf: (context: object) => requests.get(context) } as unknown as Transport;
const functions = { get: (given: unknown) => given } as unknown as InjectedFunctions;

function sourceOf(key: unknown, options: object = {}): IdentitySource {
  const resolved = resolveOptions(options);
  const warnings = new Warnings();
  const addresses = new ClientAddresses(resolved, warnings);
  return new IdentitySources(resolved, functions, addresses, warnings).for(key as RateLimitKey, 'The test');
}

async function identityFor(source: IdentitySource, request: unknown): Promise<string | undefined> {
  const context = {} as ExecutionContext;
  requests.set(context, request);
  return source.resolve({ context, transport, address: '203.0.113.7', addressIdentity: undefined });
}

interface Resolved {
  readonly identity?: string | undefined;
  readonly refusal?: Error | undefined;
}

/** Resolves a key, and checks that the identity is fit for every key of a store. */
async function resolved(key: unknown, request: unknown, options: object = {}): Promise<Resolved> {
  let identity: string | undefined;
  const source = sourceOf(key, options);
  const refusal = await laterRefusalOf(async () => (identity = await identityFor(source, request)));
  expect(['string', 'undefined']).toContain(typeof identity);
  expect(identity ?? '').not.toMatch(BREAKS_KEYS);
  return { identity, refusal };
}

function expectFound(isExpected: boolean, { identity }: Resolved): void {
  expect(identity !== undefined).toBe(isExpected);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isTextOrNumber(value: unknown): boolean {
  return isText(value) || typeof value === 'bigint' || Number.isFinite(value);
}

const headerNames = fc.oneof(treacherousNames, fc.constantFrom('x-tenant', 'authorization', 'X-API-Key'));
const headers = fc
  .tuple(
    fc.array(
      fc.tuple(
        headerNames.map((name) => name.toLowerCase()),
        fc.oneof(values, anything),
      ),
    ),
    fc.constantFrom(Object.prototype, null),
  )
  .map(([entries, prototype]) => {
    const made = Object.create(prototype) as object;
    for (const [name, value] of entries)
      Object.defineProperty(made, name, { value, enumerable: true, configurable: true });
    return made;
  });

describe('Identities of requests', () => {
  fuzz(
    'are texts or nothing, whatever headers a request has',
    fc.tuple(headerNames, fc.oneof(headers, anything)),
    async ([name, given]) => {
      for (const key of [
        `header:${name}`,
        'api-key',
        ['api-key', `header:${name}`],
        firstOf('api-key', 'session'),
      ]) {
        const { refusal } = await resolved(key, { headers: given }, { apiKeyHeader: name });
        expect(refusal === undefined || refusal.constructor.name === 'ThrownByApplication').toBe(true);
      }
    },
    300,
  );

  fuzz('are of users that are texts or numbers', anything, async (user) => {
    await resolved('user', { user });
    for (const request of [{ user: { id: user } }, { user: { sub: user } }])
      expectFound(isTextOrNumber(user), await resolved('user', request));
  });

  fuzz('are of sessions whose id is a text or a number', anything, async (session) => {
    await resolved('session', { session });
    for (const request of [{ session: { id: session } }, { sessionID: session }])
      expectFound(isTextOrNumber(session), await resolved('session', request));
  });

  fuzz('are of what functions return, where that is a text', anything, async (value) => {
    expectFound(isText(value), await resolved(() => value, {}));
  });

  fuzz(
    'are told apart by keys that mean something, and others are refused',
    fc.oneof(
      anything,
      fc.array(anything),
      anyText.map((text) => `header:${text}`),
    ),
    (key) => {
      refusalOf(() => sourceOf(key));
      refusalOf(() => sourceOf(firstOf(...([key, 'ip'] as RateLimitKey[]))));
      refusalOf(() => sourceOf(['ip', key]));
    },
  );
});
