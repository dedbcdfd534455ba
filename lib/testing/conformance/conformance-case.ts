import { randomBytes } from 'node:crypto';
import type { Awaitable } from '../../common/awaitable.js';
import { loadTemporal } from '../../common/temporal.js';
import type { Clock } from '../../common/time.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { ManualClock } from '../manual-clock.js';

/**
 * Opens the storage under test. The storage must count by the given clock only, and prefix every
 * key on a shared server with the given prefix.
 */
export type OpenStorage = (options: { clock: Clock; keyPrefix: string }) => Awaitable<Storage>;

/**
 * Epoch ms at which every case starts. Near the real time, since some stores expire records by it, but not before it. Not a whole
 * second, so that units are not exact by chance.
 */
export const CASE_START = Date.now() + 3_600_123;

/** The storage and clock of a case. */
export interface ConformanceContext {
  /** A new storage with a unique prefix. Closed after the case. */
  readonly storage: Storage;
  /** The clock of every storage of this case. */
  readonly clock: ManualClock;
  /** Opens another storage on the same clock, with the given prefix. Closed after the case too. */
  open(keyPrefix: string): Promise<Storage>;
}

/** One requirement on storages. */
export interface ConformanceCase {
  /** A sentence, unique among the cases. */
  readonly name: string;
  /** The group of the case. */
  readonly topic: string;
  /**
   * The strategies that the case uses. It passes on a storage that does not support one of them.
   */
  readonly strategies: readonly StrategyName[];
  /** Runs the case. Rejects with an `AssertionError` when the storage fails it. */
  run(context: ConformanceContext): Promise<void>;
}

/**
 * Runs one case against a new storage, and always closes it. {@link describeStorage} does this for
 * every case; use this function without a test runner.
 *
 * @throws AssertionError when the storage fails the case
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
  await loadTemporal();
  const clock = new ManualClock(CASE_START);
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
