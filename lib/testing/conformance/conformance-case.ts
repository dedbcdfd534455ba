import { randomBytes } from 'node:crypto';
import type { Awaitable } from '../../common/awaitable.js';
import type { Clock } from '../../common/time.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { ManualClock } from '../manual-clock.js';

/**
 * Opens the storage under test. It must read the time from the given clock alone, and begin every key on a shared server
 * with the given prefix.
 */
export type OpenStorage = (options: { clock: Clock; keyPrefix: string }) => Awaitable<Storage>;

/** What a case works with. */
export interface ConformanceContext {
  /** Freshly opened under a prefix of its own; closed after the case. */
  readonly storage: Storage;
  /** The clock of every storage of this case. */
  readonly clock: ManualClock;
  /** Opens one more storage on the same clock, under the given prefix; closed after the case too. */
  open(keyPrefix: string): Promise<Storage>;
}

/** One thing that a storage has to do. */
export interface ConformanceCase {
  /** A sentence, unlike that of every other case. */
  readonly name: string;
  /** The group it belongs to. */
  readonly topic: string;
  /** The strategies it works with. On a storage whose capabilities lack one of them it has nothing to say, and passes. */
  readonly strategies: readonly StrategyName[];
  /** Rejects with an `AssertionError` when the storage does otherwise. */
  run(context: ConformanceContext): Promise<void>;
}

/**
 * Runs one case against a fresh storage, and closes it again, whatever happens. {@link describeStorage} does this for every
 * case; this is for those who have no test runner at hand.
 *
 * @throws AssertionError when the storage does not do what the case says
 * @example
 * ```ts
 * import { MemoryStorage } from 'nestjs-limits';
 * import { conformanceCases, runConformanceCase } from 'nestjs-limits/testing';
 *
 * for (const conformanceCase of conformanceCases) {
 *   await runConformanceCase(conformanceCase, (options) => new MemoryStorage(options));
 * }
 * ```
 */
export async function runConformanceCase(
  conformanceCase: ConformanceCase,
  openStorage: OpenStorage,
): Promise<void> {
  // Begins with the real time, for stores that drop what the real time has passed; from there on it moves by hand.
  const clock = new ManualClock(Date.now());
  const opened: Storage[] = [];
  const open = async (keyPrefix: string): Promise<Storage> => {
    const storage = await openStorage({ clock, keyPrefix });
    opened.push(storage);
    return storage;
  };
  try {
    const storage = await open(`conformance-${randomBytes(8).toString('hex')}`);
    if (hasStrategies(storage, conformanceCase)) await conformanceCase.run({ storage, clock, open });
  } catch (error) {
    await Promise.allSettled(opened.map(async (storage) => storage.close()));
    throw error;
  }
  await Promise.all(opened.map(async (storage) => storage.close()));
}

function hasStrategies(storage: Storage, { strategies }: ConformanceCase): boolean {
  return strategies.every((strategy) => storage.capabilities.strategies.includes(strategy));
}
