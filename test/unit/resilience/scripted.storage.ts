import { MemoryStorage, StorageError, type BatchResult, type Hit, type Settlement } from 'nestjs-limits';

/** A storage that fails, or responds late, when the test tells it to. */
export class ScriptedStorage extends MemoryStorage {
  /** The current behaviour of the store. */
  does: 'answer' | 'fail' | 'hang' = 'answer';
  /** The number of calls of `consume`. */
  asked = 0;
  reconnected = 0;
  readonly settled: Settlement[] = [];
  readonly #hanging: (() => void)[] = [];

  /** Resolves all pending calls. */
  release(): void {
    for (const go of this.#hanging.splice(0)) go();
  }

  override consume(batch: readonly Hit[]): BatchResult {
    this.asked++;
    return this.#do(() => super.consume(batch)) as BatchResult;
  }

  override peek(batch: readonly Hit[]): BatchResult {
    return this.#do(() => super.peek(batch)) as BatchResult;
  }

  override settle(settlements: readonly Settlement[]): BatchResult {
    this.settled.push(...settlements);
    return super.settle(settlements);
  }

  override check(): boolean {
    return this.#do(() => this.does !== 'fail') as boolean;
  }

  override reconnect(): void {
    this.reconnected++;
  }

  /** Synchronous by its type, as its base class requires. A pending call is a promise. */
  #do(call: () => unknown): unknown {
    if (this.does === 'fail') throw new StorageError('ScriptedStorage failed: no power');
    if (this.does === 'answer') return call();
    return new Promise((resolve) => {
      this.#hanging.push(() => resolve(call()));
    });
  }
}
