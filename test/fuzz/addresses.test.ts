import { isIP } from 'node:net';
import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { AddressList } from '../../lib/http/address-list.js';
import { bareAddress, clientNetwork } from '../../lib/http/client-address.js';
import { identityOf } from '../../lib/common/identity.js';
import { anything, anyText, fuzz, long, refusalOf } from './fuzz.js';

const v4 = fc.ipV4();
const v6 = fc.ipV6();
const zones = fc.constantFrom('', '', '%eth0', '%a-b', '%a.b:c', '%', '%1', '% x');
const ports = fc.constantFrom('', '', ':80', ':65535', ':99999999', ':', ':a');
const written = fc.oneof(
  fc
    .tuple(
      fc.oneof(v4, fc.ipV4Extended(), fc.constantFrom('999.1.1.1', '01.2.3.4', '1.2.3', '0x7f.1')),
      ports,
    )
    .map((parts) => parts.join('')),
  fc.tuple(v6, zones).map((parts) => parts.join('')),
  fc.tuple(v6, zones, ports).map(([address, zone, port]) => `[${address}${zone}]${port}`),
  fc
    .tuple(fc.constantFrom('::ffff:', '::FFFF:', '0:0:0:0:0:ffff:', '::', '64:ff9b::'), v4, zones)
    .map((parts) => parts.join('')),
  anyText,
  fc.constantFrom(
    '',
    ':',
    '::',
    '[]',
    '[::]',
    '[::1',
    '::1]',
    'unknown',
    '_hidden',
    '/run/socket',
    'fe80::1%eth0%eth1',
  ),
);
const addresses = fc.oneof(
  { weight: 30, arbitrary: written },
  {
    weight: 1,
    arbitrary: long(
      fc.constantFrom('a:', ':', '1', '1.', '[', ']', '::', 'f', '%', ']:1', 'fe80::1%a'),
      200_000,
    ),
  },
);
const prefixes = fc.integer({ min: 32, max: 128 });

describe('Addresses of clients', () => {
  fuzz('have one bare form, without port, brackets and zone', addresses, (address) => {
    const bare = bareAddress(address);
    expect(bareAddress(bare)).toBe(bare);
    if (isIP(address) > 0) {
      expect(isIP(bare)).toBeGreaterThan(0);
      expect(bare).not.toContain('%');
    }
  });

  fuzz(
    'are in a network that their interface does not change',
    fc.tuple(v6, prefixes, fc.nat({ max: 0xffff }), zones),
    ([address, prefix, last, zone]) => {
      const bare = bareAddress(address);
      const other = bare.replace(/[0-9a-f]+$/, last.toString(16));
      const network = clientNetwork(address, prefix);
      expect(clientNetwork(`[${address}]:443`, prefix)).toBe(network);
      if (isIP(`fe80::1${zone}`) > 0) expect(clientNetwork(`${address}${zone}`, prefix)).toBe(network);
      if (prefix <= 112 && bare.includes(':')) expect(clientNetwork(other, prefix)).toBe(network);
    },
  );

  fuzz(
    'give a network and an identity of bounded length, whatever they are',
    fc.tuple(addresses, prefixes),
    ([address, prefix]) => {
      expect(identityOf('ip', clientNetwork(address, prefix)).length).toBeLessThan(160);
    },
  );

  fuzz('are in a list or not, whatever they are', fc.tuple(addresses, v4, v6), ([address, one, other]) => {
    const list = new AddressList('allow', [one, `${other}/64`, '10.0.0.0/8']);
    expect(list.has(one) && list.has(other) && list.has(bareAddress(`::ffff:${one}`))).toBe(true);
    expect(typeof list.has(address)).toBe('boolean');
    expect(list.has(bareAddress(address))).toBe(list.has(bareAddress(bareAddress(address))));
  });
});

describe('Lists of addresses', () => {
  fuzz(
    'are of networks, or refused',
    fc.array(
      fc.oneof(
        addresses,
        anything,
        fc
          .tuple(fc.oneof(v4, v6), fc.oneof(fc.nat({ max: 200 }), anyText))
          .map(([address, prefix]) => `${address}/${prefix}`),
      ),
      { maxLength: 3 },
    ),
    (networks) => {
      refusalOf(() => new AddressList('deny', networks as string[]));
    },
  );
});
