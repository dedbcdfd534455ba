import { describe, expect, it } from '@jest/globals';
import { Rendezvous } from '../../../lib/storages/memcached/rendezvous.js';

const keys = Array.from({ length: 10_000 }, (_, index) => `nestjs-limits:user/${index}`);
const three = ['10.0.0.1:11211', '10.0.0.2:11211', '10.0.0.3:11211'];

function placing(names: readonly string[]): (key: string) => string {
  const places = new Rendezvous(names, (name) => name);
  return (key) => places.place(key);
}

describe('keys on several servers', () => {
  it('are spread evenly', () => {
    const place = placing(three);
    for (const name of three) {
      const share = keys.filter((key) => place(key) === name).length / keys.length;
      expect(Math.abs(share - 1 / 3)).toBeLessThan(0.02);
    }
  });

  it('do not depend on the order of the servers', () => {
    const [place, other] = [placing(three), placing([...three].reverse())];
    expect(keys.filter((key) => place(key) !== other(key))).toEqual([]);
  });

  it('stay when a server is added, except for those that it gets', () => {
    const [before, after] = [placing(three), placing([...three, '10.0.0.4:11211'])];
    const moved = keys.filter((key) => before(key) !== after(key));
    expect(new Set(moved.map(after))).toEqual(new Set(['10.0.0.4:11211']));
    expect(Math.abs(moved.length / keys.length - 1 / 4)).toBeLessThan(0.02);
  });

  it('are all on the only one', () => {
    expect(new Set(keys.map(placing(['localhost:11211'])))).toEqual(new Set(['localhost:11211']));
  });
});
