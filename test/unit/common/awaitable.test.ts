import { describe, expect, it } from '@jest/globals';
import { all, attempt, chain, isPromise } from '../../../lib/common/awaitable.js';

describe('isPromise', () => {
  it('knows a promise of any make', () => {
    expect(isPromise(Promise.resolve(1))).toBe(true);
    expect(isPromise({ then: () => undefined } as unknown as Promise<void>)).toBe(true);
  });

  it.each([undefined, null, 0, '', 'then', true, {}, [], { then: 'later' }, () => undefined])(
    'knows %p as a value',
    (value) => {
      expect(isPromise<unknown>(value)).toBe(false);
    },
  );
});

describe('chain', () => {
  it('goes on at once with a value', () => {
    expect(chain(20, (value) => value + 1)).toBe(21);
    expect(chain(undefined, () => 'done')).toBe('done');
  });

  it('goes on with a promise when it is there', async () => {
    const next = chain(Promise.resolve(20), (value) => value + 1);

    expect(next).toBeInstanceOf(Promise);
    expect(await next).toBe(21);
  });

  it('passes a promise of the next step on', async () => {
    expect(await chain(20, async (value) => value + 1)).toBe(21);
    expect(await chain(Promise.resolve(20), async (value) => value + 1)).toBe(21);
  });

  it('fails as its steps fail: at once with values, later with promises', async () => {
    const fail = (): never => {
      throw new Error('Lost.');
    };

    expect(() => chain(20, fail)).toThrow('Lost.');
    await expect(chain(Promise.resolve(20), fail)).rejects.toThrow('Lost.');
    await expect(chain(Promise.reject(new Error('Lost before.')), fail)).rejects.toThrow('Lost before.');
  });
});

describe('all', () => {
  it('stays synchronous while every value is there', () => {
    expect(all([1, 2, 3])).toEqual([1, 2, 3]);
    expect(all([])).toEqual([]);
  });

  it('waits for all as soon as one is a promise', async () => {
    const values = all([1, Promise.resolve(2), 3]);

    expect(values).toBeInstanceOf(Promise);
    expect(await values).toEqual([1, 2, 3]);
  });

  it('rejects as soon as one does', async () => {
    await expect(all([1, Promise.reject(new Error('Lost.'))])).rejects.toThrow('Lost.');
  });
});

describe('attempt', () => {
  it('answers what its call answers, as it does', async () => {
    expect(attempt(() => 1)).toBe(1);
    await expect(attempt(() => Promise.resolve(2))).resolves.toBe(2);
  });

  it('rejects with what is thrown at once', async () => {
    const fail = (): never => {
      throw new Error('Lost.');
    };
    const answer = attempt(fail);
    expect(answer).toBeInstanceOf(Promise);
    await expect(answer).rejects.toThrow(new Error('Lost.'));
  });
});
