import {
  createLimit,
  loadTemporal,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type StrategyName,
} from 'nestjs-limits';
import { PostgreSQLStorage, type PostgreSQLStorageOptions } from 'nestjs-limits/postgresql';
import { calendarOf } from './strategies.js';

export const SECOND = 1000;
export const HOUR = 3600 * SECOND;

/** Opens the storages of a test, and closes them together. */
export class OpenedStorages {
  readonly #opened: PostgreSQLStorage[] = [];

  /** Opens a storage with a long timeout, unless the options have another. */
  open(
    connection: ConstructorParameters<typeof PostgreSQLStorage>[0],
    options: PostgreSQLStorageOptions = {},
  ): PostgreSQLStorage {
    const storage = new PostgreSQLStorage(connection, { timeout: 10_000, ...options });
    this.#opened.push(storage);
    return storage;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.splice(0).map((storage) => storage.close()));
  }
}

await loadTemporal();

export function limitOf(strategy: StrategyName, options: Partial<CreateLimitOptions> = {}): Limit {
  const calendar = calendarOf(strategy, 'hour');
  return createLimit({ id: strategy, strategy, amount: 10, period: HOUR, calendar, ...options });
}

export function hitsOn(limits: readonly Limit[], cost = 1, identity = 'user/42'): Hit[] {
  return limits.map((limit) => ({ identity, limit, cost }));
}
