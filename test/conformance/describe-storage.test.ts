import { describe, expect, it, jest } from '@jest/globals';
import * as nodeTest from 'node:test';
import { ConfigurationError, MemoryStorage, type Storage, type StorageCapabilities } from 'nestjs-limits';
import {
  conformanceCases,
  describeStorage,
  ManualClock,
  runConformanceCase,
  type ConformanceCase,
  type ConformanceContext,
  type ConformanceRunner,
} from 'nestjs-limits/testing';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';

const [first, second] = conformanceCases.map(({ name }) => name) as [string, string];

describe('conformanceCases', () => {
  it('have unique names', () => {
    const names = conformanceCases.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('are grouped by topic', () => {
    expect([...new Set(conformanceCases.map(({ topic }) => topic))]).toEqual([
      'boundaries',
      'costs',
      'peeking',
      'settlements',
      'keys',
      'shared cells',
      'slots',
      'batches',
      'blocks',
      'clocks',
      'concurrency',
      'meters',
      'waiting',
      'random traces',
      'per-key methods',
      'lifecycle',
      'settings',
    ]);
  });

  it('name their strategy', () => {
    const perStrategy = conformanceCases.filter(({ name }) => /^[a-z-]+: allows exactly/.test(name));
    expect(perStrategy.map(({ strategies }) => strategies)).toEqual(
      rateStrategyNames.map((strategy) => [strategy]),
    );
  });
});

describe('describeStorage', () => {
  it('registers every case by its name, in a group per topic', () => {
    const { runner, registered } = recordingRunner();
    describeStorage('MyStorage', { open: openMemory, runner });
    expect(registered).toEqual(
      conformanceCases.map(({ name, topic }) => ({ path: ['MyStorage', topic, name], skipped: false })),
    );
  });

  it('registers tests that pass for a storage that fulfils the contract, and fail for one that does not', async () => {
    const good = recordingRunner();
    describeStorage('MyStorage', { open: openMemory, runner: good.runner });
    await expect(good.run(first)).resolves.toBeUndefined();

    const bad = recordingRunner();
    const refuseNothing = (): Storage => {
      const storage = new MemoryStorage();
      storage.consume = (batch) => storage.peek(batch);
      return storage;
    };
    describeStorage('MyStorage', { open: refuseNothing, runner: bad.runner });
    await expect(bad.run(first)).rejects.toMatchObject({ code: 'ERR_ASSERTION' });
  });

  it('skips by name with a reason, if the runner can skip', () => {
    const { runner, registered } = recordingRunner();
    describeStorage('MyStorage', { open: openMemory, runner, skip: { [second]: 'not yet' } });
    expect(registered.filter(({ skipped }) => skipped).map(({ path }) => path.at(-1))).toEqual([
      `${second} (skipped: not yet)`,
    ]);
    expect(registered).toHaveLength(conformanceCases.length);
  });

  it('registers a skipped case as a passing test, if the runner cannot skip', async () => {
    const { runner, registered, run } = recordingRunner();
    const { describe: group, it: test } = runner;
    describeStorage('MyStorage', {
      open: () => {
        throw new Error('is not opened');
      },
      runner: { describe: group, it: (name, body) => test(name, body) },
      skip: { [second]: 'not yet' },
    });
    expect(registered.map(({ skipped }) => skipped)).not.toContain(true);
    await expect(run(`${second} (skipped: not yet)`)).resolves.toBeUndefined();
    await expect(run(first)).rejects.toThrow('is not opened');
  });

  it('throws for an unknown case to skip', () => {
    const skip = { [first]: 'known', 'counts to three': 'cannot count' };
    const { runner, registered } = recordingRunner();
    expect(() => describeStorage('MyStorage', { open: openMemory, runner, skip })).toThrow(
      new ConfigurationError(
        'There is no conformance case "counts to three" to skip. The names of all are in conformanceCases.',
      ),
    );
    expect(registered).toEqual([]);
  });

  it('uses the global runner by default', () => {
    const { runner, registered } = recordingRunner();
    withGlobals(runner, () => describeStorage('MyStorage', { open: openMemory }));
    expect(registered).toHaveLength(conformanceCases.length);
  });

  it('throws if there is no runner', () => {
    withGlobals({ describe: undefined, it: undefined }, () => {
      expect(() => describeStorage('MyStorage', { open: openMemory })).toThrow(
        new ConfigurationError(
          'describeStorage found no global "describe" and "it". Pass those of your test runner: { runner: { describe, it } }.',
        ),
      );
    });
  });

  it('accepts the runners of Jest and node:test by their types', () => {
    const runners: readonly ConformanceRunner[] = [
      { describe, it },
      { describe: nodeTest.describe, it: nodeTest.it },
    ];
    expect(runners).toHaveLength(2);
  });
});

describe('runConformanceCase', () => {
  it('opens a storage with a unique prefix and a manual clock', async () => {
    const contexts: ConformanceContext[] = [];
    const recording = caseOf(async (context) => {
      contexts.push(context);
    });
    await runConformanceCase(recording, openMemory);
    await runConformanceCase(recording, openMemory);
    const [one, two] = contexts;
    expect(one?.storage.keyPrefix).toMatch(/^conformance-[0-9a-f]{16}$/);
    expect(one?.storage.keyPrefix).not.toBe(two?.storage.keyPrefix);
    expect(one?.clock).toBeInstanceOf(ManualClock);
    expect(one?.clock).not.toBe(two?.clock);
  });

  it('begins near the real time, for stores that expire records by it', async () => {
    const before = Date.now();
    let start = 0;
    await runConformanceCase(
      caseOf(async ({ clock }) => {
        start = clock.now();
      }),
      openMemory,
    );
    expect(start).toBeGreaterThanOrEqual(before);
    expect(start).toBeLessThanOrEqual(Date.now() + 2 * 3_600_000);
  });

  it('waits for a storage that opens asynchronously, and opens more storages on demand', async () => {
    const prefixes: string[] = [];
    await runConformanceCase(
      caseOf(async ({ storage, open }) => {
        prefixes.push(storage.keyPrefix, (await open('another')).keyPrefix);
      }),
      async (options) => openMemory(options),
    );
    expect(prefixes).toEqual([expect.stringMatching(/^conformance-/), 'another']);
  });

  it('closes every storage that it opened, even when the case fails', async () => {
    for (const failure of [undefined, new Error('failed')]) {
      const opened: Storage[] = [];
      const result = runConformanceCase(
        caseOf(async ({ open }) => {
          await open('another');
          if (failure !== undefined) throw failure;
        }),
        (options) => {
          const storage = openMemory(options);
          opened.push(storage);
          return storage;
        },
      );
      await expect(result.catch((error: unknown) => error)).resolves.toBe(failure);
      expect(opened.map((storage) => storage.check())).toEqual([false, false]);
    }
  });

  it('rejects with the error of the case, or with that of close when the case passes', async () => {
    const openStubborn = (): Storage => {
      const storage = new MemoryStorage();
      storage.close = () => {
        throw new Error('does not close');
      };
      return storage;
    };
    const failing = caseOf(() => Promise.reject(new Error('fails')));
    await expect(runConformanceCase(failing, openStubborn)).rejects.toThrow('fails');
    const passing = caseOf(() => Promise.resolve());
    await expect(runConformanceCase(passing, openStubborn)).rejects.toThrow('does not close');
  });

  it('passes for strategies that the storage does not support', async () => {
    const run = jest.fn<ConformanceCase['run']>().mockResolvedValue();
    const openFixedWindow = (): Storage => new FixedWindowStorage();
    await runConformanceCase({ ...caseOf(run), strategies: ['token-bucket'] }, openFixedWindow);
    expect(run).not.toHaveBeenCalled();
    await runConformanceCase({ ...caseOf(run), strategies: ['fixed-window'] }, openFixedWindow);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('passes for a storage with a single strategy', async () => {
    for (const each of conformanceCases) {
      await runConformanceCase(each, ({ clock, keyPrefix }) => new FixedWindowStorage({ clock, keyPrefix }));
    }
  });
});

class FixedWindowStorage extends MemoryStorage {
  override readonly capabilities: StorageCapabilities = {
    atomicity: 'batch',
    clock: 'local',
    strategies: ['fixed-window'],
    maxMovingWindow: 1,
  };
}

function openMemory(options: ConstructorParameters<typeof MemoryStorage>[0]): MemoryStorage {
  return new MemoryStorage(options);
}

function caseOf(run: ConformanceCase['run']): ConformanceCase {
  return { name: 'a case', topic: 'cases', strategies: [], run };
}

interface Registered {
  path: string[];
  skipped: boolean;
}

/** A runner that records groups and tests, and runs a test by its name on demand. */
function recordingRunner(): {
  runner: ConformanceRunner;
  registered: Registered[];
  run: (name: string) => Promise<void>;
} {
  const registered: Registered[] = [];
  const bodies = new Map<string, () => Promise<void>>();
  const groups: string[] = [];
  const register =
    (skipped: boolean) =>
    (name: string, body: () => Promise<void>): void => {
      registered.push({ path: [...groups, name], skipped });
      bodies.set(name, body);
    };
  const runner = {
    describe: (name: string, body: () => void): void => {
      groups.push(name);
      body();
      groups.pop();
    },
    it: Object.assign(register(false), { skip: register(true) }),
  };
  const run = async (name: string): Promise<void> => {
    const body = bodies.get(name);
    if (body === undefined) throw new Error(`Nothing is registered as "${name}".`);
    await body();
  };
  return { runner, registered, run };
}

function withGlobals(globals: Partial<Record<'describe' | 'it', unknown>>, body: () => void): void {
  const { describe: keptDescribe, it: keptIt } = globalThis as Partial<ConformanceRunner>;
  Object.assign(globalThis, globals);
  try {
    body();
  } finally {
    Object.assign(globalThis, { describe: keptDescribe, it: keptIt });
  }
}
