import { describe, expect, it } from '@jest/globals';
import { peerAddress, type GrpcCall } from '../../../lib/nest/transports/grpc.js';

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
  ])('is %s without the port', (peer, address) => {
    expect(peerAddress(callFrom(peer))).toBe(address);
  });
});
