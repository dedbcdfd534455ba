import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import { AddressList } from '../../../lib/http/address-list.js';

const has = (networks: string[], address: string): boolean => new AddressList('allow', networks).has(address);

describe('A list of addresses', () => {
  it('matches an address with any zone', () => {
    const list = new AddressList('allow', ['fe80::/10']);
    expect(list.has('fe80::1%br-lan')).toBe(true);
    expect(list.has('fec0::1%br-lan')).toBe(false);
    expect(list.has('10.1.2.3%br-lan')).toBe(false);
    expect(list.has('unknown')).toBe(false);
    expect(new AddressList('allow', ['0.0.0.0/0', '::/0']).has('unknown')).toBe(false);
  });

  it.each<[networks: string[], inside: string[], outside: string[]]>([
    [
      ['10.0.0.0/8'],
      ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', '10.1.2.3:80'],
      ['11.0.0.0', '9.255.255.255'],
    ],
    [
      ['203.0.113.7'],
      ['203.0.113.7', '::FFFF:cb00:7107', '[::ffff:203.0.113.7]:1'],
      ['203.0.113.8', '2001:db8::1'],
    ],
    [['0.0.0.0/0'], ['1.2.3.4'], ['2001:db8::1']],
    [['::/0'], ['2001:db8::1'], []],
    [['2001:db8::/32'], ['2001:db8::1', '2001:0DB8:ffff::', '[2001:db8::2]:443'], ['2001:db9::1', '1.2.3.4']],
    [['fe80::/10'], ['fe80::1%eth0', 'fe80::1%br-lan', 'fe80::1%a.b'], ['fec0::1', 'fec0::1%br-lan']],
    [['::1', '127.0.0.0/8'], ['::1', '127.0.0.1'], ['::2']],
    [
      ['10.0.0.0/8'],
      ['64:ff9b::10.1.2.3', '64:ff9b:1::10.1.2.3', '2002:a01:203::1', '[64:ff9b::a01:203]:80'],
      ['64:ff9b::11.1.2.3', '2002:b01:203::1'],
    ],
    [
      ['2002::/16', '64:ff9b::/96'],
      ['2002:a01:203::1', '64:ff9b::10.1.2.3'],
      ['10.1.2.3', '2003::1'],
    ],
    [['::ffff:10.0.0.0/104'], ['10.1.2.3', '::ffff:10.1.2.3'], ['11.1.2.3']],
    [[], [], ['1.2.3.4']],
    [['10.0.0.0/8'], [], ['', 'unknown', '10.0.0.0/8', '10.1', '0x0a.1.2.3', 'localhost']],
  ])('%j contains the addresses of its networks', (networks, inside, outside) => {
    expect(inside.filter((address) => !has(networks, address))).toEqual([]);
    expect(outside.filter((address) => has(networks, address))).toEqual([]);
  });

  it.each([
    ['10.0.0.0/33', 'the string "10.0.0.0/33"'],
    ['2001:db8::/129', 'the string "2001:db8::/129"'],
    ['10.0.0', 'the string "10.0.0"'],
    ['10.0.0.0/', 'the string "10.0.0.0/"'],
    ['8/10.0.0.0/8', 'the string "8/10.0.0.0/8"'],
    ['10.0.0.0/8/8', 'the string "10.0.0.0/8/8"'],
    ['/8', 'the string "/8"'],
    ['localhost', 'the string "localhost"'],
    ['', 'the string ""'],
    [10, 'the number 10'],
    [undefined, 'undefined'],
  ])('throws for an invalid network: %p', (network, description) => {
    const call = (): AddressList => new AddressList('deny', ['10.0.0.0/8', network as never]);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(
      `The option "deny" lists networks such as "10.0.0.0/8" or "2001:db8::/32"; got ${description}.`,
    );
  });

  it('throws with a cause', () => {
    const read = (): unknown => {
      try {
        return new AddressList('deny', ['10.0.0.0/33']);
      } catch (error) {
        return (error as Error).cause;
      }
    };
    expect(read()).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  });
});
