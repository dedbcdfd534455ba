import { describe, expect, it, jest } from '@jest/globals';
import { Memo } from '../../../lib/common/bounded-map.js';

describe('A memo', () => {
  const make = jest.fn((text: string) => ({ text }));

  it('makes something of a text once, and something else of another text', () => {
    const memo = new Memo<{ text: string }>(10);
    const made = memo.get('a', make);
    expect(made).toEqual({ text: 'a' });
    expect(memo.get('a', make)).toBe(made);
    expect(memo.get('b', make)).toEqual({ text: 'b' });
    expect(make.mock.calls).toEqual([['a'], ['b']]);
  });

  it('forgets everything when it is full, and remembers again', () => {
    const memo = new Memo<{ text: string }>(2);
    const [a, b] = [memo.get('a', make), memo.get('b', make)];
    expect([memo.get('a', make), memo.get('b', make)]).toEqual([a, b]);
    expect(memo.get('a', make)).toBe(a);
    const c = memo.get('c', make);
    const again = memo.get('a', make);
    expect(again).not.toBe(a);
    expect(memo.get('c', make)).toBe(c);
    expect(memo.get('a', make)).toBe(again);
  });

  it('remembers nothing where nothing could be made', () => {
    const memo = new Memo<string>(10);
    expect(() =>
      memo.get('a', () => {
        throw new Error('not now');
      }),
    ).toThrow('not now');
    expect(memo.get('a', () => 'made')).toBe('made');
  });
});
