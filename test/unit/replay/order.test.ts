import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mergeByTime } from '../../../lib/replay/merge-by-time.js';
import { ReorderingWindow, type Timed } from '../../../lib/replay/reordering-window.js';

interface Entry extends Timed {
  readonly id: number;
}

function sorted(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((one, other) => one.time - other.time || one.id - other.id);
}

describe('the reordering window', () => {
  it('passes on an entry when the newest is more than a minute later', () => {
    const window = new ReorderingWindow();
    window.add({ time: 1_000_000 });
    window.add({ time: 1_060_999 });
    expect(window.take()).toEqual([]);
    window.add({ time: 1_061_000 });
    expect(window.take()).toEqual([{ time: 1_000_000 }]);
    expect(window.takeRest()).toEqual([{ time: 1_060_999 }, { time: 1_061_000 }]);
    expect(window.takeRest()).toEqual([]);
  });

  it('drops an entry that is more than a minute older than the newest, and keeps one of a minute', () => {
    const window = new ReorderingWindow();
    window.add({ time: 1_060_000 });
    expect([window.add({ time: 999_999 }), window.add({ time: 1_000_000 })]).toEqual([false, true]);
    expect(window.takeRest()).toEqual([{ time: 1_000_000 }, { time: 1_060_000 }]);
  });

  it('sorts entries by time, those of one time in the order of the file', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ step: fc.nat(90_000), late: fc.nat(60_000) })), (steps) => {
        let newest = 0;
        const entries = steps.map(({ step, late }, id) => {
          newest += step;
          return { time: Math.max(0, newest - late), id };
        });
        const window = new ReorderingWindow<Entry>();
        const passed = entries.flatMap((entry) => {
          expect(window.add(entry)).toBe(true);
          return window.take();
        });
        expect([...passed, ...window.takeRest()]).toEqual(sorted(entries));
      }),
    );
  });
});

describe('the merge of logs', () => {
  it('sorts the entries of all sources by time, those of one time in the order of the sources', async () => {
    const batches = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(batches, { maxLength: 4 }), async (times) => {
        let id = 0;
        const sources = times.map((source) => {
          const all = source
            .flat()
            .sort((one, other) => one - other)
            .values();
          return source.map((batch) => batch.map(() => ({ time: Number(all.next().value), id: id++ })));
        });
        const merged: Entry[] = [];
        for await (const batch of mergeByTime(sources.map(generate))) merged.push(...batch);
        expect(merged).toEqual(sorted(sources.flat(2)));
      }),
    );
  });

  it('closes all sources if one of them fails', async () => {
    const closed: string[] = [];
    async function* source(name: string, failsAfter: number) {
      try {
        for (let time = 0; time < failsAfter; time++) yield [{ time }];
        throw new Error(`${name} fails`);
      } finally {
        closed.push(name);
      }
    }
    const merged = mergeByTime([source('one', 9), source('two', 3), source('three', 9)]);
    const read = async () => {
      while ((await merged.next()).done !== true) expect(closed).toEqual([]);
    };
    await expect(read()).rejects.toThrow('two fails');
    expect(closed.sort()).toEqual(['one', 'three', 'two']);
  });
});

async function* generate<T>(batches: readonly T[]): AsyncGenerator<T> {
  yield* batches;
}
