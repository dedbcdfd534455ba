import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Cells } from '../../storages/apply-batch.js';
import type { Limit } from '../../core/limit.js';

interface Entry {
  readonly state: object;
  /** The limits that have hit the cell since the state began. */
  readonly limits: Set<Limit>;
  /** Epoch ms until which a storage must keep the cell for those hits. */
  keptUntil: number;
}

interface BlockEntry {
  readonly limit: Limit;
  readonly state: BlockState;
}

/**
 * The specification: the pure steps over two maps that never drop a cell.
 *
 * Limits of one id share a cell, whatever their amounts. A smaller amount refills slower, so its
 * states expire later. A storage does not know all limits of a cell. At each hit, it extends the
 * expiry of the cell to that of the hit's limit.
 */
export class ReferenceCells implements Cells {
  readonly #states = new Map<string, Entry>();
  readonly #blocks = new Map<string, BlockEntry>();

  get(identity: string, limit: Limit): object | undefined {
    return this.#states.get(nameOf(identity, limit))?.state;
  }

  set(identity: string, limit: Limit, state: object | undefined): void {
    if (state === undefined) this.#states.delete(nameOf(identity, limit));
    else
      this.#states.set(nameOf(identity, limit), {
        state,
        limits: new Set([limit]),
        keptUntil: endOf(state, limit),
      });
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

  /**
   * Records that a limit has hit its cell, so that a storage must keep the state for that limit
   * too.
   */
  share(identity: string, limit: Limit): void {
    const entry = this.#states.get(nameOf(identity, limit));
    if (entry === undefined) return;
    entry.limits.add(limit);
    entry.keptUntil = Math.max(entry.keptUntil, endOf(entry.state, limit));
  }

  /**
   * Records that the clock went back by a number of ms. A storage may keep cells only as long from
   * the new time.
   */
  goBack(by: number): void {
    for (const entry of this.#states.values()) entry.keptUntil -= by;
  }

  isBlocked(identity: string, limit: Limit, now: number): boolean {
    return block.blockedUntil(this.getBlock(identity, limit), limit, now) > now;
  }

  /**
   * Returns true if a cell expires between two instants. A storage may have dropped it at the later
   * one.
   */
  someEndBetween(after: number, until: number): boolean {
    const ends = [
      ...[...this.#states.values()].flatMap((entry) => [entry.keptUntil, ...endsOf(entry)]),
      ...[...this.#blocks.values()].map(({ limit, state }) => block.expiresAt(state, limit)),
    ];
    return ends.some((end) => end > after && end <= until);
  }

  /**
   * Returns true if a storage may or may not have dropped a cell whose state still matters to a
   * limit. The limit's result on that cell is ambiguous.
   */
  isDoubtful(identity: string, limit: Limit, now: number): boolean {
    const entry = this.#states.get(nameOf(identity, limit));
    if (entry === undefined || endOf(entry.state, limit) <= now) return false;
    return entry.keptUntil <= now || endsOf(entry).every((end) => end <= now);
  }
}

function endsOf({ limits, state }: Entry): number[] {
  return [...limits].map((limit) => endOf(state, limit));
}

function endOf(state: object, limit: Limit): number {
  return strategies[limit.strategy].expiresAt(state, limit);
}

function nameOf(identity: string, limit: Limit): string {
  return `${identity} ${limit.id}`;
}
