import { describe, expect, it } from '@jest/globals';
import { all, attempt, chain, isPromise } from '../../../lib/common/awaitable.js';

describe('isPromise', () => {
  it('recognizes a promise of any implementation', () => {
    expect(isPromise(Promise.resolve(1))).toBe(true);
    expect(isPromise({ then: () => undefined } as unknown as Promise<void>)).toBe(true);
  });

  it.each([undefined, null, 0, '', 'then', true, {}, [], { then: 'later' }, () => undefined])(
    'recognizes %p as a value',
    (value) => {
      expect(isPromise<unknown>(value)).toBe(false);
    },
  );
});

describe('chain', () => {
  it('continues synchronously with a value', () => {
    expect(chain(20, (value) => value + 1)).toBe(21);
    expect(chain(undefined, () => 'done')).toBe('done');
  });

  it('continues with a promise when it resolves', async () => {
    const next = chain(Promise.resolve(20), (value) => value + 1);

    expect(next).toBeInstanceOf(Promise);
    expect(await next).toBe(21);
  });

  it('returns the promise of the next step', async () => {
    expect(await chain(20, async (value) => value + 1)).toBe(21);
    expect(await chain(Promise.resolve(20), async (value) => value + 1)).toBe(21);
  });

  it('fails as its steps fail: synchronously with values, later with promises', async () => {
    const fail = (): never => {
      throw new Error('Lost.');
    };

    expect(() => chain(20, fail)).toThrow('Lost.');
    await expect(chain(Promise.resolve(20), fail)).rejects.toThrow('Lost.');
    await expect(chain(Promise.reject(new Error('Lost before.')), fail)).rejects.toThrow('Lost before.');
  });
});

describe('all', () => {
  it('stays synchronous if there are only values', () => {
    expect(all([1, 2, 3])).toEqual([1, 2, 3]);
    expect(all([])).toEqual([]);
  });

  it('waits for all if one is a promise', async () => {
    const values = all([1, Promise.resolve(2), 3]);

    expect(values).toBeInstanceOf(Promise);
    expect(await values).toEqual([1, 2, 3]);
  });

  it('rejects as soon as one rejects', async () => {
    await expect(all([1, Promise.reject(new Error('Lost.'))])).rejects.toThrow('Lost.');
  });
});

describe('attempt', () => {
  it('returns the result of its call, as a value or promise', async () => {
    expect(attempt(() => 1)).toBe(1);
    await expect(attempt(() => Promise.resolve(2))).resolves.toBe(2);
  });

  it('converts a synchronous throw to a rejection', async () => {
    const fail = (): never => {
      throw new Error('Lost.');
    };
    const answer = attempt(fail);
    expect(answer).toBeInstanceOf(Promise);
    await expect(answer).rejects.toThrow(new Error('Lost.'));
  });
});
