import { describe, expect, it } from '@jest/globals';
import { RpcException } from '@nestjs/microservices';
import { grpcFailure, peerAddress, type GrpcCall } from '../../../lib/nest/transports/grpc.js';
import { HandlerContext } from '../../../lib/nest/transports/handler-context.js';

const callFrom = (peer: string): GrpcCall => ({
  metadata: { set: () => undefined, getMap: () => ({}) },
  cancelled: false,
  getPeer: () => peer,
  emit: () => true,
  once: () => undefined,
});

describe('The address of the peer of a gRPC call', () => {
  it.each([
    ['203.0.113.7:52100', '203.0.113.7'],
    ['::1:52100', '::1'],
    ['2001:db8::7:52100', '2001:db8::7'],
    ['[2001:db8::7]:52100', '2001:db8::7'],
    ['::ffff:203.0.113.7:52100', '::ffff:203.0.113.7'],
    ['203.0.113.7', '203.0.113.7'],
    ['unknown', undefined],
    ['', undefined],
    ['a\nb', undefined],
  ])('is %s without the port', (peer, address) => {
    expect(peerAddress(callFrom(peer))).toBe(address);
  });
});

describe('A call of gRPC whose handler gets the stream', () => {
  it.each([
    ['an error', new Error('busy'), new Error('busy')],
    ['an exception with a text', new RpcException('busy'), { code: 2, message: 'busy' }],
    [
      'an exception with a status',
      new RpcException({ code: 8, message: 'busy' }),
      { code: 8, message: 'busy' },
    ],
  ])('fails with its status, by its callback or else by an event: %s', (_what, error, status) => {
    const failures: unknown[] = [];
    const call = { ...callFrom(''), emit: (_event: string, failure: object) => failures.push(failure) > 0 };
    const failureOf = (...args: unknown[]): ((cause: Error) => void) | undefined =>
      grpcFailure(new HandlerContext('rpc', args, class {}, () => undefined));
    failureOf(call, (failure: object) => failures.push(failure))?.(error);
    failureOf(call)?.(error);
    expect(failures).toEqual([status, status]);
    expect(failureOf({}, {}, call)).toBeUndefined();
  });
});
