import type { Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from './contract.js';
import type { Limit } from './limit.js';
import type { SettingsStore } from './settings-store.js';
import { clockOf, Storage } from './storage.js';

/**
 * Base class of a storage in front of another one. Every method that it does not override calls the
 * inner storage.
 */
export abstract class WrappedStorage extends Storage {
  override readonly capabilities: StorageCapabilities;

  constructor(readonly inner: Storage) {
    super({ keyPrefix: inner.keyPrefix, clock: clockOf(inner) });
    this.capabilities = inner.capabilities;
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.inner.consume(batch);
  }

  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.inner.peek(batch);
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    return this.inner.settle(settlements);
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    return this.inner.remove(cells);
  }

  override removeLimits(limits: readonly Limit[]): Awaitable<void> {
    return this.inner.removeLimits(limits);
  }

  override check(): Awaitable<boolean> {
    return this.inner.check();
  }

  override reset(): Awaitable<number> {
    return this.inner.reset();
  }

  override close(): Awaitable<void> {
    return this.inner.close();
  }

  override get settings(): SettingsStore | undefined {
    return this.inner.settings;
  }

  override reconnect(): void {
    this.inner.reconnect();
  }

  /** Returns the name of the inner storage, which users know. */
  override toString(): string {
    return String(this.inner);
  }
}

/** A storage whose decisions are observed. */
export interface ObservableStorage<Inner extends Storage = Storage> {
  /** Makes several calls for one decision, and lets observers see only its result. */
  decideOnce<Result extends BatchResult>(calls: (storage: Inner) => Promise<Result>): Promise<Result>;
}

/** Makes several calls of a storage for one decision. If the storage is observed, observers see only the result. */
export function decideOnce<S extends Storage, Result extends BatchResult>(
  storage: S,
  calls: (storage: S) => Promise<Result>,
): Promise<Result> {
  const observable = storage as Partial<ObservableStorage<S>>;
  return observable.decideOnce === undefined ? calls(storage) : observable.decideOnce(calls);
}

/** A storage that its owner closes. `close` does nothing. */
export class BorrowedStorage extends WrappedStorage {
  override close(): void {}
}
