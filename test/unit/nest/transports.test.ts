import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, type ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { resolveOptions } from '../../../lib/nest/options/resolve-options.js';
import { HandlerContext } from '../../../lib/nest/transports/handler-context.js';
import { httpTransport as http } from '../../../lib/nest/transports/http.transport.js';
import { Warnings } from '../../../lib/nest/options/warnings.js';
import { Transports } from '../../../lib/nest/transports/transports.js';

/** A context of a type, as Nest makes one for a request over HTTP. */
function contextOf(type: string, ...args: unknown[]): ExecutionContext {
  return new HandlerContext(type as 'http', args, class {}, () => undefined);
}

const response = { headersSent: false };

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
    expect(all.get(contextOf('http', {}, response))).toBe(http);
    for (const type of ['graphql', 'ws', 'rpc', 'bot']) expect(all.get(contextOf(type))).toBeDefined();
  });

  it('are those of the option, if it has any', () => {
    const some = transports(['http', 'bot']);
    expect(some.get(contextOf('http', {}, response))).toBe(http);
    expect(some.get(contextOf('bot'))).toBeDefined();
    expect(some.get(contextOf('ws'))).toBeUndefined();
  });

  it('take what calls itself http and has no response for an unknown type', () => {
    const all = transports();
    const unknown = all.get(contextOf('bot'));
    for (const args of [[], [{}], [{}, {}], [{}, 'text'], [{}, { raw: {} }]])
      expect(all.get(contextOf('http', ...args))).toBe(unknown);
    expect(all.get(contextOf('http', {}, { raw: response }))).toBe(http);
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
