import { describe, expect, it, jest } from '@jest/globals';
import { BoundedMap } from '../../../lib/common/bounded-map.js';

describe('A bounded map', () => {
  it('drops the oldest entries when there are too many, and returns them', () => {
    const map = new BoundedMap<string>(2);
    expect([map.set('a', 'one'), map.set('b', 'two'), map.set('a', 'three')]).toEqual([[], [], []]);
    expect(map.set('c', 'four')).toEqual(['two']);
    expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual(['three', undefined, 'four']);
  });

  it('counts by weight if there is a function for it', () => {
    const map = new BoundedMap<string>(10, (text) => text.length);
    map.set('a', 'xxxx');
    map.set('b', 'xxxx');
    map.set('b', 'xx');
    expect(map.set('c', 'xxxx')).toEqual([]);
    map.delete('c');
    map.delete('c');
    expect(map.set('d', 'xxxxxxxxx')).toEqual(['xxxx', 'xx']);
    expect(map.set('e', 'xxxxxxxxxxx')).toEqual(['xxxxxxxxx', 'xxxxxxxxxxx']);
    expect(map.set('f', 'xxxxxxxxxx')).toEqual([]);
  });

  it('drops all entries when it is cleared, and returns them', () => {
    const map = new BoundedMap<number>(2);
    map.set('a', 1);
    map.set('b', 2);
    expect([map.clear(), map.clear(), map.get('a')]).toEqual([[1, 2], [], undefined]);
    expect([map.set('c', 3), map.set('d', 4), map.set('e', 5)]).toEqual([[], [], [3]]);
  });

  it('makes the value of a key once, while it is stored', () => {
    const map = new BoundedMap<{ text: string }>(2);
    const make = jest.fn((text: string) => ({ text }));
    const made = map.getOrMake('a', make);
    expect(made).toEqual({ text: 'a' });
    expect(map.getOrMake('a', make)).toBe(made);
    map.getOrMake('b', make);
    map.getOrMake('c', make);
    expect(map.getOrMake('a', make)).not.toBe(made);
    expect(make.mock.calls).toEqual([['a'], ['b'], ['c'], ['a']]);
  });

  it('stores nothing if making the value throws', () => {
    const map = new BoundedMap<string>(10);
    expect(() =>
      map.getOrMake('a', () => {
        throw new Error('not now');
      }),
    ).toThrow('not now');
    expect(map.getOrMake('a', () => 'made')).toBe('made');
  });
});
