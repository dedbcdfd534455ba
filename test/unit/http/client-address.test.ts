import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bareAddress, clientNetwork, isAddress } from '../../../lib/http/client-address.js';

describe('The network of a client', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
    ['::ffff:0:203.0.113.7', '203.0.113.7'],
    ['::203.0.113.7', '203.0.113.7'],
    ['64:ff9b::203.0.113.7', '203.0.113.7'],
    ['64:FF9B::cb00:7107', '203.0.113.7'],
    ['[64:ff9b::cb00:7107]:443', '203.0.113.7'],
    ['64:ff9b:1::203.0.113.7', '203.0.113.7'],
    ['64:ff9b:1:fffe::cb00:7107', '203.0.113.7'],
    ['64:ff9b:1:cb00:71:700::', '203.0.113.7'],
    ['64:ff9b:1:2:3:4:cb00::', '203.0.0.0'],
    ['64:ff9b:1:2:3:4::7107', '0.0.113.7'],
    ['2002:cb00:7107::1', '203.0.113.7'],
    ['2002:cb00:7107:ffff:1:2:3:4', '203.0.113.7'],
    ['2001:0:4136:e378:8000:63bf:34ff:8ef8', '203.0.113.7'],
  ])('is the IPv4 address in every form: %s', (address, network) => {
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
    ['64:ff9b:2::203.0.113.7', '64:ff9b:2:0::/64'],
    ['64:ff9b:0:0:1::203.0.113.7', '64:ff9b:0:0::/64'],
    ['2003:cb00:7107::1', '2003:cb00:7107:0::/64'],
    ['2001:1::1', '2001:1:0:0::/64'],
    ['::fffe:203.0.113.7', '0:0:0:0::/64'],
  ])('is the first 64 bits of IPv6 in every spelling: %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network);
  });

  it.each([
    ['203.0.113.7:49152', '203.0.113.7'],
    ['203.0.113.7:1', '203.0.113.7'],
    ['[2001:db8:1:2:3:4:5:6]:49152', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2:3:4:5:6]', '2001:db8:1:2::/64'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
  ])('has no port, since a client could change it: %s', (address, network) => {
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
    '1.2.3.4::ffff:',
    '1234567.2.3.4::ffff:',
  ])('is the given text if that is not an address: "%s"', (address) => {
    expect(clientNetwork(address)).toBe(address);
  });

  it('differs for networks that differ in one bit', () => {
    expect(clientNetwork('2001:db8:1:2::1')).not.toBe(clientNetwork('2001:db8:1:3::1'));
    expect(clientNetwork('203.0.113.6')).not.toBe(clientNetwork('203.0.113.7'));
  });
});

describe('The network of a client, of another length', () => {
  it.each<[number, string]>([
    [32, 'ffff:ffff::/32'],
    [33, 'ffff:ffff:8000::/33'],
    [47, 'ffff:ffff:fffe::/47'],
    [48, 'ffff:ffff:ffff::/48'],
    [56, 'ffff:ffff:ffff:ff00::/56'],
    [64, 'ffff:ffff:ffff:ffff::/64'],
    [65, 'ffff:ffff:ffff:ffff:8000::/65'],
    [112, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff::/112'],
    [127, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127'],
    [128, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128'],
  ])('has its first %i bits', (prefix, network) => {
    expect(clientNetwork('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', prefix)).toBe(network);
  });

  it('is the same for every zone of the address', () => {
    expect(clientNetwork('fe80::1%br-lan')).toBe('fe80:0:0:0::/64');
    expect(clientNetwork('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
  });

  it('is the full address for IPv4, for any length', () => {
    expect(clientNetwork('203.0.113.7', 32)).toBe('203.0.113.7');
    expect(clientNetwork('::ffff:203.0.113.7', 32)).toBe('203.0.113.7');
  });

  it('is the same for two addresses exactly when they share those bits', () => {
    const addresses = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
    const textOf = (address: bigint): string =>
      (address.toString(16).padStart(32, '0').match(/.{4}/g) ?? []).join(':');
    const carriesIpv4 = (address: bigint): boolean => !clientNetwork(textOf(address)).includes('/');
    fc.assert(
      fc.property(
        addresses,
        fc.integer({ min: 0, max: 127 }),
        fc.integer({ min: 32, max: 128 }),
        (one, bit, prefix) => {
          const other = one ^ (1n << BigInt(127 - bit));
          fc.pre(!carriesIpv4(one) && !carriesIpv4(other));
          expect(clientNetwork(textOf(one), prefix) === clientNetwork(textOf(other), prefix)).toBe(
            bit >= prefix,
          );
        },
      ),
    );
  });
});

describe('A bare address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:80', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['[2001:db8::1]:80', '2001:db8:0:0:0:0:0:1'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1'],
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
    ['fe80::1%br-lan.7', 'fe80:0:0:0:0:0:0:1'],
    ['[fe80::1%br-lan]:80', 'fe80:0:0:0:0:0:0:1'],
    ['unknown', 'unknown'],
    ['', ''],
  ])('has no zone, port or brackets: %s', (address, bare) => {
    expect(bareAddress(address)).toBe(bare);
  });
});

describe('An address', () => {
  it.each(['203.0.113.7', '203.0.113.7:80', '::1', '[2001:db8::1]:80', 'fe80::1%eth0', '::ffff:203.0.113.7'])(
    'is %s',
    (text) => {
      expect(isAddress(text)).toBe(true);
    },
  );

  it.each(['', 'unknown', '_hidden', 'localhost:3000', '1.2.3', '1.2.3.4:x', '[::1', '::g'])(
    'is not "%s"',
    (text) => {
      expect(isAddress(text)).toBe(false);
    },
  );
});
