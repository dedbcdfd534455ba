import { assertKnownOptions, assertOptionsObject, assertWholeNumber } from '../../common/options.js';
import { strategyNames } from '../../strategies/strategies.js';
import { blockBatch, consumeBatch, peekBatch, settleBatch } from '../apply-batch.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from '../../core/contract.js';
import { MAX_MOVING_WINDOW, type Limit } from '../../core/limit.js';
import { closedError, Storage, type StorageOptions } from '../../core/storage.js';
import { MemoryCells } from './memory-cells.js';

/** Options of {@link MemoryStorage}. */
export interface MemoryStorageOptions extends StorageOptions {
  /**
   * Maximum number of cells (identities × limits), of about 100 bytes each plus the identity.
   *
   * Beyond it, new identities share 4,096 cells per limit until there is room, so that no count
   * is dropped. A block of an identity with its own cell is stored beyond the maximum too.
   *
   * @default 500_000
   */
  maxKeys?: number | undefined;
}

/** Marks storages that count in this process, from any copy of this package. */
const IN_PROCESS = Symbol.for('nestjs-limits:in-process');

/** Returns true for a storage that counts in this process, and so neither fails nor blocks. */
export function countsInProcess(storage: Storage): boolean {
  return IN_PROCESS in storage;
}

const DEFAULT_MAX_KEYS = 500_000;

/**
 * Counts in this process, by every strategy. All methods return synchronously.
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
    const now = this.clock.now();
    return consumeBatch(this.#open().at(now), batch, now);
  }

  override peek(batch: readonly Hit[]): BatchResult {
    const now = this.clock.now();
    return peekBatch(this.#open().at(now).reader, batch, now);
  }

  override settle(settlements: readonly Settlement[]): BatchResult {
    const now = this.clock.now();
    return settleBatch(this.#open().at(now), settlements, now);
  }

  override block(blocks: readonly Block[]): void {
    const now = this.clock.now();
    const cells = this.#open().at(now);
    for (const { identity, limit } of blocks) cells.separate(identity, limit);
    blockBatch(cells, blocks, now);
  }

  override remove(cells: readonly Cell[]): void {
    for (const { identity, limit } of cells) this.#open().remove(identity, limit);
  }

  override removeLimits(limits: readonly Limit[]): void {
    for (const limit of limits) this.#open().removeLimit(limit);
  }

  override check(): boolean {
    return !this.#closed;
  }

  override reset(): number {
    const cells = this.#open();
    const identities = cells.countIdentities();
    cells.clear();
    return identities;
  }

  override close(): void {
    this.#closed = true;
    this.#cells.clear();
  }

  /** @internal Returns the number of cells by policy. Limits of several policies that share cells count for the first. */
  cellsByPolicy(): Map<string, number> {
    return this.#cells.countByPolicy();
  }

  #open(): MemoryCells {
    if (this.#closed) throw closedError(this);
    return this.#cells;
  }
}
