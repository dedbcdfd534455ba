import { Logger, type ExecutionContext } from '@nestjs/common';
import { describe, expect, it, jest } from '@jest/globals';
import { ConfigurationError, firstOf } from 'nestjs-limits';
import { ClientAddresses } from '../../../lib/nest/identities/client-addresses.js';
import { IdentitySources } from '../../../lib/nest/identities/identity-sources.js';
import type { IdentitySource } from '../../../lib/nest/identities/identity-source.js';
import type { RateLimitKey } from '../../../lib/nest/options/rate-limit-key.js';
import { Warnings } from '../../../lib/nest/options/warnings.js';
import type { InjectedFunctions } from '../../../lib/nest/options/user-functions.js';
import { resolveOptions } from '../../../lib/nest/options/resolve-options.js';
import { HandlerContext } from '../../../lib/nest/transports/handler-context.js';
import type { Transport } from '../../../lib/nest/transports/transport.js';

function sourceOf(key: RateLimitKey): IdentitySource {
  const options = resolveOptions({});
  const warnings = new Warnings();
  const addresses = new ClientAddresses(options, warnings);
  return new IdentitySources(options, {} as InjectedFunctions, addresses, warnings).for(key, 'The test');
}

function identityOf(key: RateLimitKey, headers: unknown): unknown {
  return sourceOf(key).resolve({
    context: {} as ExecutionContext,
    transport: { requestOf: () => ({ headers }) } as unknown as Transport,
    address: '203.0.113.7',
    addressIdentity: undefined,
  });
}

describe('The identity of a header', () => {
  it.each(['constructor', '__proto__'])('is undefined for "%s", which all objects have', (name) => {
    expect(identityOf(`header:${name}`, {})).toBe(undefined);
    expect(identityOf(`header:${name}`, Object.create(null))).toBe(undefined);
  });

  it('is the value of a header with such a name', () => {
    const headers: unknown = JSON.parse('{"__proto__":"a","constructor":"b"}');
    expect(identityOf('header:__proto__', headers)).toBe('header:__proto__:a');
    expect(identityOf('header:constructor', headers)).toBe('header:constructor:b');
  });

  it('combines all values of a header that is sent several times', () => {
    expect(identityOf('header:x-a', { 'x-a': ['1', '2'] })).toBe('header:x-a:1,2');
  });

  it('is undefined if the value is not text', () => {
    expect(identityOf('header:x-a', { 'x-a': { a: 1 } })).toBe(undefined);
  });
});

describe('A key that contains itself', () => {
  const MESSAGE =
    'The test: a key is a list of keys that is a part of itself, or lies within 16 others. Give its parts in one list.';

  it('throws', () => {
    const cyclic: RateLimitKey[] = ['ip'];
    cyclic.push(cyclic);
    const first: RateLimitKey[] = ['ip'];
    const keys = firstOf();
    Object.assign(keys, { keys: first });
    first.push([keys]);

    expect(() => sourceOf(cyclic)).toThrow(new ConfigurationError(MESSAGE));
    expect(() => sourceOf(keys)).toThrow(new ConfigurationError(MESSAGE));
  });

  it('differs from a key that contains another twice, which is valid', () => {
    const part: RateLimitKey[] = ['ip', 'user'];
    expect(sourceOf([part, part]).types).toEqual(['ip+user+ip+user']);
  });
});

describe('The identity of a call', () => {
  function identityIn(key: RateLimitKey, type: Transport['type'], ...args: unknown[]): unknown {
    return sourceOf(key).resolve({
      context: new HandlerContext(type as 'http', args, class {}, () => undefined),
      transport: { type, requestOf: () => undefined } as unknown as Transport,
      address: '203.0.113.7',
      addressIdentity: undefined,
    });
  }

  it('by its connection is undefined on a transport without connections', () => {
    expect(identityIn('socket', 'rpc', {})).toBeUndefined();
  });

  it('by a field of its data is the same on each transport', () => {
    const data = { id: 'ann' };
    const identities = [
      identityIn('body:id', 'http', { body: data }),
      identityIn('body:id', 'graphql', {}, data),
      identityIn('body:id', 'ws', {}, data),
      identityIn('body:id', 'rpc', data),
    ];
    expect(identities).toEqual(Array(4).fill(expect.stringMatching(/^body:id#:/)));
    expect(new Set(identities).size).toBe(1);
  });

  it('by a field of a body that nothing has parsed yet is undefined, and a middleware warns if there is one', () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    expect(identityIn('body:id', 'http', {})).toBeUndefined();
    expect(identityIn('body:id', 'http', { body: 'text' })).toBeUndefined();
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });
});

describe('The address of a client', () => {
  it('is asked once of the option clientIp, and of the adapter if that gives none', () => {
    const given = ['203.0.113.9', undefined];
    const options = resolveOptions({ clientIp: () => given.shift() });
    const addresses = new ClientAddresses(options, new Warnings());
    const resolve = (request: object): unknown =>
      addresses.resolve(
        {} as ExecutionContext,
        { stateHolder: () => request, addressOf: () => '203.0.113.7' } as unknown as Transport,
      );
    const [first, second] = [{}, {}];
    expect([resolve(first), resolve(first), resolve(second)]).toEqual([
      '203.0.113.9',
      '203.0.113.9',
      '203.0.113.7',
    ]);
    expect(given).toEqual([]);
  });
});
