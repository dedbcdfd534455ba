import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Cells } from '../../storages/apply-batch.js';
import type { Limit } from '../../core/limit.js';

interface Entry<State> {
  limit: Limit;
  state: State;
}

/** The specification itself: the pure steps over two maps that forget nothing by themselves. For one amount per limit id. */
export class ReferenceCells implements Cells {
  readonly #states = new Map<string, Entry<object>>();
  readonly #blocks = new Map<string, Entry<BlockState>>();

  get(identity: string, limit: Limit): object | undefined {
    return this.#states.get(nameOf(identity, limit))?.state;
  }

  set(identity: string, limit: Limit, state: object | undefined): void {
    if (state === undefined) this.#states.delete(nameOf(identity, limit));
    else this.#states.set(nameOf(identity, limit), { limit, state });
  }

  getBlock(identity: string, limit: Limit): BlockState | undefined {
    return this.#blocks.get(nameOf(identity, limit))?.state;
  }

  setBlock(identity: string, limit: Limit, state: BlockState | undefined): void {
    if (state === undefined) this.#blocks.delete(nameOf(identity, limit));
    else this.#blocks.set(nameOf(identity, limit), { limit, state });
  }

  remove(identity: string, limit: Limit): void {
    this.#states.delete(nameOf(identity, limit));
    this.#blocks.delete(nameOf(identity, limit));
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

function nameOf(identity: string, limit: Limit): string {
  return `${identity} ${limit.id}`;
}
