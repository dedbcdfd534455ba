import { StorageError, type BatchResult, type Settlement } from 'nestjs-limits';
import { WrappedStorage } from '../../lib/core/wrapped.storage.js';

/** A storage whose settlements succeed or fail when the test decides. */
export class HeldStorage extends WrappedStorage {
  readonly calls: {
    readonly settlements: readonly Settlement[];
    answer(): void;
    /** Rejects. With `arrived`, the storage has settled before. */
    lose(arrived: boolean): void;
  }[] = [];

  override settle(settlements: readonly Settlement[]): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      this.calls.push({
        settlements,
        answer: () => resolve(this.inner.settle(settlements)),
        lose: (arrived) => {
          if (arrived) void this.inner.settle(settlements);
          reject(new StorageError('no answer'));
        },
      });
    });
  }

  /** The actual costs of each call so far. */
  get actual(): number[][] {
    return this.calls.map(({ settlements }) => settlements.map(({ actual }) => actual));
  }
}
