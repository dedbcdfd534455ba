import { describe, expect, it } from '@jest/globals';
import { clientNetwork } from '../../../lib/http/client-address.js';

describe('The network of a client', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
  ])('is the address itself for IPv4, mapped into IPv6 or not: %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network);
  });

  it.each([
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff:FFFF:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['fe80::2%eth1', 'fe80:0:0:0::/64'],
  ])('is the first 64 bits of IPv6, however it is written: %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network);
  });

  it.each([
    ['203.0.113.7:49152', '203.0.113.7'],
    ['203.0.113.7:1', '203.0.113.7'],
    ['[2001:db8:1:2:3:4:5:6]:49152', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2:3:4:5:6]', '2001:db8:1:2::/64'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
  ])('has no port, which a client could change at will: %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network);
  });

  it.each([
    '',
    'unknown',
    '_hidden',
    'localhost:3000',
    ':',
    '::1::2',
    '1.2.3.4:x',
    '[1.2.3.4',
    '2001:db8::g',
  ])('is what was given where that is no address: "%s"', (address) => {
    expect(clientNetwork(address)).toBe(address);
  });

  it('tells networks apart that differ in one bit', () => {
    expect(clientNetwork('2001:db8:1:2::1')).not.toBe(clientNetwork('2001:db8:1:3::1'));
    expect(clientNetwork('203.0.113.6')).not.toBe(clientNetwork('203.0.113.7'));
  });
});
