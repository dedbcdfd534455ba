import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { resolveOptions } from '../../../lib/nest/options/resolve-options.js';
import { httpTransport as http } from '../../../lib/nest/transports/http.transport.js';
import { Warnings } from '../../../lib/nest/options/warnings.js';
import { Transports } from '../../../lib/nest/transports/transports.js';

function transports(limited?: readonly string[]): Transports {
  return new Transports(
    resolveOptions(limited === undefined ? {} : { transports: limited }),
    {} as HttpAdapterHost,
    new Warnings(),
  );
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('The transports', () => {
  it('know the types of contexts of Nest, and also limit others', () => {
    const all = transports();
    expect(all.get('http')).toBe(http);
    for (const type of ['graphql', 'ws', 'rpc', 'bot']) expect(all.get(type)).toBeDefined();
  });

  it('are those of the option, if it has any', () => {
    const some = transports(['http', 'bot']);
    expect(some.get('http')).toBe(http);
    expect(some.get('bot')).toBeDefined();
    expect(some.get('ws')).toBeUndefined();
  });

  it('warn at start about a type that may be misspelt, and about no other', () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    transports(['http', 'ws']).onApplicationBootstrap();
    expect(warn).not.toHaveBeenCalled();
    transports(['htpp', 'ws']).onApplicationBootstrap();
    expect(warn.mock.calls).toEqual([
      [
        'The option "transports" names "htpp", which is not one of http, graphql, ws, rpc: it limits only contexts of that type.',
      ],
    ]);
  });
});
