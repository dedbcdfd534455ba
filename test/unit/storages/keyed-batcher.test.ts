import { describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { KeyedBatcher } from '../../../lib/storages/cas/keyed-batcher.js';

describe('KeyedBatcher of items with one key', () => {
  it('runs the first item immediately and items that arrive during its run together', async () => {
    const { queue, runs } = recordingQueue();
    const results = await Promise.all([1, 2, 3].map((item) => queue.add(['key'], item)));
    expect(runs).toEqual([
      [['key'], [1]],
      [['key'], [2, 3]],
    ]);
    expect(results).toEqual([10, 20, 30]);
  });

  it('runs one batch of a key at a time', async () => {
    let running = 0;
    let most = 0;
    const queue = new KeyedBatcher<number, number>(async (_keys, items) => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      return [...items];
    });
    const first = queue.add(['key'], 1);
    await setImmediate();
    await Promise.all([first, queue.add(['key'], 2), queue.add(['key'], 3)]);
    expect(most).toBe(1);
  });

  it('runs different keys in parallel', async () => {
    const { queue, runs } = recordingQueue();
    const both = [queue.add(['a'], 1), queue.add(['b'], 2)];
    expect(runs).toEqual([
      [['a'], [1]],
      [['b'], [2]],
    ]);
    await expect(Promise.all(both)).resolves.toEqual([10, 20]);
  });

  it('runs at most 64 items at a time', async () => {
    const { queue, runs } = recordingQueue();
    await Promise.all(Array.from({ length: 150 }, (_, item) => queue.add(['key'], item)));
    expect(runs.map(([, items]) => items.length)).toEqual([1, 64, 64, 21]);
    expect(runs.flatMap(([, items]) => items)).toEqual(Array.from({ length: 150 }, (_, item) => item));
  });

  it('rejects every item of a run that fails, and continues with the next', async () => {
    const failure = new Error('lost');
    const queue = new KeyedBatcher<number, number>(async (_keys, items) => {
      await setImmediate();
      if (items.includes(2)) throw failure;
      return [...items];
    });
    const settled = Promise.allSettled([queue.add(['key'], 1), queue.add(['key'], 2), queue.add(['key'], 3)]);
    await setImmediate();
    const later = queue.add(['key'], 4);
    expect((await settled).map((one) => (one.status === 'fulfilled' ? one.value : one.reason))).toEqual([
      1,
      failure,
      failure,
    ]);
    await expect(later).resolves.toBe(4);
  });

  it('rejects when the run throws synchronously', async () => {
    const queue = new KeyedBatcher<number, number>(() => {
      throw new Error('at once');
    });
    await expect(queue.add(['key'], 1)).rejects.toThrow('at once');
  });

  it('accepts items again once a key has been idle', async () => {
    const { queue, runs } = recordingQueue();
    await queue.add(['key'], 1);
    await setImmediate();
    await queue.add(['key'], 2);
    expect(runs).toEqual([
      [['key'], [1]],
      [['key'], [2]],
    ]);
  });

  it('accepts an item that is added in reply to another', async () => {
    const { queue, runs } = recordingQueue();
    const answer = await queue.add(['key'], 1).then((result) => queue.add(['key'], result));
    expect(answer).toBe(100);
    expect(runs).toEqual([
      [['key'], [1]],
      [['key'], [10]],
    ]);
  });
});

describe('KeyedBatcher of items with several keys', () => {
  it('never runs two in parallel that share a key', async () => {
    const running = new Set<string>();
    let shared = 0;
    const queue = new KeyedBatcher<number, number>(async (keys, items) => {
      shared += keys.filter((key) => running.has(key)).length;
      for (const key of keys) running.add(key);
      await setImmediate();
      for (const key of keys) running.delete(key);
      return items;
    });
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const added = Array.from({ length: 500 }, (_, item) =>
      queue.add([...new Set([item, item * 3, item >> 2].map((each) => keys[each % 5] ?? ''))], item),
    );
    await expect(Promise.all(added)).resolves.toEqual(Array.from({ length: 500 }, (_, item) => item));
    expect(shared).toBe(0);
  });

  it('runs items that share a key together, in the order of arrival', async () => {
    const { queue, runs } = recordingQueue();
    await Promise.all([
      queue.add(['all'], 1),
      queue.add(['a', 'all'], 2),
      queue.add(['b', 'all'], 3),
      queue.add(['b'], 4),
      queue.add(['a', 'b'], 5),
    ]);
    expect(runs).toEqual([
      [['all'], [1]],
      [
        ['all', 'a', 'b'],
        [2, 3, 4, 5],
      ],
    ]);
  });

  it('keeps the order of items per key', async () => {
    const { queue, runs } = recordingQueue();
    await Promise.all([
      queue.add(['a'], 1),
      queue.add(['a', 'b'], 2), // waits for a, and b waits for it
      queue.add(['b'], 3),
      queue.add(['c'], 4),
    ]);
    expect(runs).toEqual([
      [['a'], [1]],
      [['c'], [4]],
      [
        ['a', 'b'],
        [2, 3],
      ],
    ]);
  });

  it('waits for all runs that hold its keys', async () => {
    const { queue, runs } = recordingQueue();
    await Promise.all([queue.add(['a'], 1), queue.add(['b'], 2), queue.add(['b', 'a'], 3)]);
    expect(runs).toEqual([
      [['a'], [1]],
      [['b'], [2]],
      [['b', 'a'], [3]],
    ]);
  });

  it('runs at most 64 keys at a time, unless one item has more', async () => {
    const { queue, runs } = recordingQueue();
    const many = Array.from({ length: 100 }, (_, index) => `many ${index}`);
    await Promise.all([
      queue.add(['all'], 0),
      ...Array.from({ length: 70 }, (_, index) => queue.add(['all', `${index}`], index)),
      queue.add(['all', ...many], 70),
    ]);
    expect(runs.map(([keys, items]) => [keys.length, items.length])).toEqual([
      [1, 1],
      [64, 63],
      [8, 7],
      [101, 1],
    ]);
  });

  it('continues with items of any of its keys after a run that fails', async () => {
    const queue = new KeyedBatcher<number, number>(async (_keys, items) => {
      await setImmediate();
      if (items.includes(1)) throw new Error('lost');
      return items;
    });
    const settled = await Promise.allSettled([
      queue.add(['a', 'b'], 1),
      queue.add(['b', 'c'], 2),
      queue.add(['a'], 3),
    ]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  });
});

/** A batcher that multiplies by ten, and the calls of its run. */
function recordingQueue(): {
  queue: KeyedBatcher<number, number>;
  runs: [keys: string[], items: number[]][];
} {
  const runs: [keys: string[], items: number[]][] = [];
  const queue = new KeyedBatcher<number, number>(async (keys, items) => {
    runs.push([[...keys], [...items]]);
    await setImmediate();
    return items.map((item) => item * 10);
  });
  return { queue, runs };
}
