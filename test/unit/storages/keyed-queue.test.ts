import { describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { KeyedQueue } from '../../../lib/storages/cas/keyed-queue.js';

describe('KeyedQueue', () => {
  it('runs the first item at once and what arrives meanwhile together', async () => {
    const { queue, runs } = recordingQueue();
    const results = await Promise.all([1, 2, 3].map((item) => queue.add('key', item)));
    expect(runs).toEqual([
      ['key', [1]],
      ['key', [2, 3]],
    ]);
    expect(results).toEqual([10, 20, 30]);
  });

  it('runs one batch of a key at a time', async () => {
    let running = 0;
    let most = 0;
    const queue = new KeyedQueue<number, number>(async (_key, items) => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      return [...items];
    });
    const first = queue.add('key', 1);
    await setImmediate();
    await Promise.all([first, queue.add('key', 2), queue.add('key', 3)]);
    expect(most).toBe(1);
  });

  it('runs different keys side by side', async () => {
    const { queue, runs } = recordingQueue();
    const both = [queue.add('a', 1), queue.add('b', 2)];
    expect(runs).toEqual([
      ['a', [1]],
      ['b', [2]],
    ]);
    await expect(Promise.all(both)).resolves.toEqual([10, 20]);
  });

  it('takes at most 64 items at a time', async () => {
    const { queue, runs } = recordingQueue();
    await Promise.all(Array.from({ length: 150 }, (_, item) => queue.add('key', item)));
    expect(runs.map(([, items]) => items.length)).toEqual([1, 64, 64, 21]);
    expect(runs.flatMap(([, items]) => items)).toEqual(Array.from({ length: 150 }, (_, item) => item));
  });

  it('rejects every item of a run that fails, and goes on with the next', async () => {
    const failure = new Error('lost');
    const queue = new KeyedQueue<number, number>(async (_key, items) => {
      await setImmediate();
      if (items.includes(2)) throw failure;
      return [...items];
    });
    const settled = Promise.allSettled([queue.add('key', 1), queue.add('key', 2), queue.add('key', 3)]);
    await setImmediate();
    const later = queue.add('key', 4);
    expect((await settled).map((one) => (one.status === 'fulfilled' ? one.value : one.reason))).toEqual([
      1,
      failure,
      failure,
    ]);
    await expect(later).resolves.toBe(4);
  });

  it('rejects what a run throws before it has made a promise', async () => {
    const queue = new KeyedQueue<number, number>(() => {
      throw new Error('at once');
    });
    await expect(queue.add('key', 1)).rejects.toThrow('at once');
  });

  it('takes items again once a key has been idle', async () => {
    const { queue, runs } = recordingQueue();
    await queue.add('key', 1);
    await setImmediate();
    await queue.add('key', 2);
    expect(runs).toEqual([
      ['key', [1]],
      ['key', [2]],
    ]);
  });

  it('takes an item that is added in answer to another', async () => {
    const { queue, runs } = recordingQueue();
    const answer = await queue.add('key', 1).then((result) => queue.add('key', result));
    expect(answer).toBe(100);
    expect(runs).toEqual([
      ['key', [1]],
      ['key', [10]],
    ]);
  });
});

/** A queue that multiplies by ten, and what it was asked to run. */
function recordingQueue(): {
  queue: KeyedQueue<number, number>;
  runs: [key: string, items: number[]][];
} {
  const runs: [key: string, items: number[]][] = [];
  const queue = new KeyedQueue<number, number>(async (key, items) => {
    runs.push([key, [...items]]);
    await setImmediate();
    return items.map((item) => item * 10);
  });
  return { queue, runs };
}
