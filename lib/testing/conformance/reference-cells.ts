import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Cells } from '../../storages/apply-batch.js';
import type { Limit } from '../../storages/limit.js';

interface Entry<State> {
  limit: Limit;
  state: State;
}

/** The specification itself: the pure steps over two maps that forget nothing by themselves. For one amount per limit id. */
export class ReferenceCells implements Cells {
  readonly #states = new Map<string, Entry<object>>();
  readonly #blocks = new Map<string, Entry<BlockState>>();

  get(bucket: string, limit: Limit): object | undefined {
    return this.#states.get(nameOf(bucket, limit))?.state;
  }

  set(bucket: string, limit: Limit, state: object | undefined): void {
    if (state === undefined) this.#states.delete(nameOf(bucket, limit));
    else this.#states.set(nameOf(bucket, limit), { limit, state });
  }

  getBlock(bucket: string, limit: Limit): BlockState | undefined {
    return this.#blocks.get(nameOf(bucket, limit))?.state;
  }

  setBlock(bucket: string, limit: Limit, state: BlockState | undefined): void {
    if (state === undefined) this.#blocks.delete(nameOf(bucket, limit));
    else this.#blocks.set(nameOf(bucket, limit), { limit, state });
  }

  remove(bucket: string, limit: Limit): void {
    this.#states.delete(nameOf(bucket, limit));
    this.#blocks.delete(nameOf(bucket, limit));
  }

  /** Whether a cell ends after one instant and not after another: a storage may have dropped it at the later one. */
  someEndBetween(after: number, until: number): boolean {
    const ends = [
      ...[...this.#states.values()].map(({ limit, state }) =>
        strategies[limit.strategy].expiresAt(state, limit),
      ),
      ...[...this.#blocks.values()].map(({ limit, state }) => block.expiresAt(state, limit.block)),
    ];
    return ends.some((end) => end > after && end <= until);
  }
}

function nameOf(bucket: string, limit: Limit): string {
  return `${bucket} ${limit.id}`;
}
