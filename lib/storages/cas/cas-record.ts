import { StorageError } from '../../common/errors.js';
import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Limit } from '../../core/limit.js';

/** A stored cell: the epoch ms at which it expires, then the numbers of its state. */
type StoredCell = [expiresAt: number, ...state: number[]];

/** A text to store for an identity. */
export interface Write {
  readonly text: string;
  /** Ms until every cell of the text has expired; 0 for a text without cells. */
  readonly ttl: number;
}

const EMPTY = '{}';

/**
 * All cells of one identity as one readable text: JSON by the digest of the limit's id, with `!`
 * appended for its block. Writing drops expired cells.
 */
export class CasRecord {
  readonly #stored: Record<string, StoredCell>;
  readonly #states = new Map<string, { limit: Limit; state: object }>();

  constructor(private readonly text: string | undefined) {
    this.#stored = text === undefined ? {} : parseRecord(text);
  }

  get(limit: Limit): object | undefined {
    const live = this.#states.get(limit.digest);
    if (live !== undefined) {
      if (limit.amount < live.limit.amount) live.limit = limit; // of plans that share a state, the smallest keeps it longest
      return live.state;
    }
    const stored = this.#stored[limit.digest];
    if (stored === undefined) return undefined;
    const state = strategies[limit.strategy].decode(stored.slice(1));
    this.#states.set(limit.digest, { limit, state });
    return state;
  }

  set(limit: Limit, state: object | undefined): void {
    if (state === undefined) this.remove(limit);
    else this.#states.set(limit.digest, { limit, state });
  }

  getBlock(limit: Limit): BlockState | undefined {
    const stored = this.#stored[blockDigest(limit)];
    return stored && block.decode(stored.slice(1));
  }

  setBlock(limit: Limit, state: BlockState | undefined): void {
    if (state === undefined) delete this.#stored[blockDigest(limit)];
    else this.#stored[blockDigest(limit)] = [block.expiresAt(state, limit), ...block.encode(state)];
  }

  /** Removes a cell, and optionally its block. */
  remove(limit: Limit, blockToo = false): void {
    this.#states.delete(limit.digest);
    delete this.#stored[limit.digest];
    if (blockToo) delete this.#stored[blockDigest(limit)];
  }

  /** Returns the text to store; `undefined` if it has not changed. */
  write(now: number): Write | undefined {
    for (const [digest, { limit, state }] of this.#states) {
      const strategy = strategies[limit.strategy];
      // Never earlier than the stored expiry: a smaller plan may need the state longer.
      const expiresAt = Math.max(strategy.expiresAt(state, limit), this.#stored[digest]?.[0] ?? 0);
      this.#stored[digest] = [expiresAt, ...strategy.encode(state)];
    }
    const live = Object.entries(this.#stored).filter(([, [expiresAt]]) => expiresAt > now);
    const text = JSON.stringify(Object.fromEntries(live));
    if (text === (this.text ?? EMPTY)) return undefined;
    return { text, ttl: Math.max(0, ...live.map(([, [expiresAt]]) => expiresAt - now)) };
  }
}

function blockDigest(limit: Limit): string {
  return `${limit.digest}!`;
}

function parseRecord(text: string): Record<string, StoredCell> {
  try {
    const record: unknown = JSON.parse(text);
    if (isRecord(record)) return record;
  } catch (cause) {
    throw unreadableRecord({ cause });
  }
  throw unreadableRecord();
}

function isRecord(value: unknown): value is Record<string, StoredCell> {
  return typeof value === 'object' && value !== null && Object.values(value).every(isStoredCell);
}

function isStoredCell(value: unknown): value is StoredCell {
  return Array.isArray(value) && value.length > 0 && value.every(Number.isFinite);
}

function unreadableRecord(options?: ErrorOptions): StorageError {
  return new StorageError(
    'A stored record cannot be read: does another program write under this keyPrefix?',
    options,
  );
}
