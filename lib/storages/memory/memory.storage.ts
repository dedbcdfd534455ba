import { assertKnownOptions, assertOptionsObject, assertWholeNumber } from '../../common/options.js';
import { strategyNames } from '../../strategies/strategies.js';
import { blockBatch, consumeBatch, peekBatch, settleBatch } from '../apply-batch.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from '../../core/contract.js';
import { MAX_MOVING_WINDOW } from '../../core/limit.js';
import { closedError, Storage, type StorageOptions } from '../../core/storage.js';
import { MemoryCells } from './memory-cells.js';

/** Options of {@link MemoryStorage}. */
export interface MemoryStorageOptions extends StorageOptions {
  /**
   * Most cells (identities × limits) held at a time; about 100 bytes each, beside the identity itself. Once that many are
   * in use, newcomers share 4,096 cells per limit, so that nobody who is being limited is forgotten. Default: 500,000.
   */
  maxKeys?: number | undefined;
}

/** Marks storages that count in this process, of whichever copy of this package. */
const IN_PROCESS = Symbol.for('nestjs-limits:in-process');

/** Whether a storage counts in this process, so that it neither fails nor keeps anybody waiting. */
export function countsInProcess(storage: Storage): boolean {
  return IN_PROCESS in storage;
}

const DEFAULT_MAX_KEYS = 500_000;

/**
 * Counts in this process. Every strategy; answers synchronously.
 *
 * @throws ConfigurationError when an option is unknown or out of range
 * @example
 * ```ts
 * import { FixedWindowRateLimiter, MemoryStorage, parse } from 'nestjs-limits';
 *
 * const limiter = new FixedWindowRateLimiter(new MemoryStorage({ maxKeys: 100_000 }));
 * limiter.hit(parse('10/minute'), 'user', '42'); // true
 * ```
 */
export class MemoryStorage extends Storage {
  override readonly capabilities: StorageCapabilities = {
    atomicity: 'batch',
    clock: 'local',
    strategies: strategyNames,
    maxMovingWindow: MAX_MOVING_WINDOW,
  };
  readonly #cells: MemoryCells;
  #closed = false;

  constructor(options: MemoryStorageOptions = {}) {
    assertOptionsObject('The options of MemoryStorage', options);
    assertKnownOptions('MemoryStorage', options, ['clock', 'keyPrefix', 'maxKeys']);
    super(options);
    const { maxKeys = DEFAULT_MAX_KEYS } = options;
    assertWholeNumber('The maxKeys of MemoryStorage', maxKeys, 1);
    this.#cells = new MemoryCells(maxKeys, () => this.clock.now());
  }

  /** @internal */
  readonly [IN_PROCESS] = true;

  override consume(batch: readonly Hit[]): BatchResult {
    return consumeBatch(this.#open(), batch, this.clock.now());
  }

  override peek(batch: readonly Hit[]): BatchResult {
    return peekBatch(this.#open(), batch, this.clock.now());
  }

  override settle(settlements: readonly Settlement[]): BatchResult {
    return settleBatch(this.#open(), settlements, this.clock.now());
  }

  override block(blocks: readonly Block[]): void {
    blockBatch(this.#open(), blocks, this.clock.now());
  }

  override remove(cells: readonly Cell[]): void {
    for (const { identity, limit } of cells) this.#open().remove(identity, limit);
  }

  override check(): boolean {
    return !this.#closed;
  }

  override reset(): number {
    return this.#open().clear();
  }

  override close(): void {
    this.#closed = true;
    this.#cells.clear();
  }

  #open(): MemoryCells {
    if (this.#closed) throw closedError(this);
    return this.#cells;
  }
}
