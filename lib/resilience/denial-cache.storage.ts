import { chain, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit, Outcome, Refund } from '../storages/contract.js';
import type { Storage } from '../storages/storage.js';
import { WrappedStorage } from '../storages/wrapped.storage.js';
import { RecentBuckets } from './recent-buckets.js';
import { isSameLimit } from './same-limit.js';

/** Ms that a refusal is remembered at most: so long does it take until others' refunds and raised limits are noticed. */
const LONGEST_MEMORY = 2000;

/** A batch that was refused. */
interface Denial {
  readonly batch: readonly Hit[];
  readonly result: BatchResult;
  /** By `performance.now()`, which no clock that is set changes. */
  readonly since: number;
  /** Brought forward when it is forgotten. */
  until: number;
}

/**
 * Remembers refusals, so that an identity that is refused again and again costs the store one call in two seconds. Limits whose
 * refusals change something (elastic windows) or may end at any time (those that count by outcome) are always asked about.
 */
export class DenialCacheStorage extends WrappedStorage {
  readonly #denials = new RecentBuckets<Denial>();

  constructor(
    inner: Storage,
    private readonly now: () => number = () => performance.now(),
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    const known = this.#denials.of(batch[0]?.bucket ?? '');
    if (known.length > 0) {
      const now = this.now();
      const denial = known.find((one) => one.until > now && isSame(one.batch, batch));
      if (denial !== undefined) return later(denial, batch, Math.floor(now - denial.since));
    }
    return chain(this.inner.consume(batch), (result) => {
      if (result.allowed)
        this.#forget(batch); // whatever was taken, others may have to wait longer now
      else if (result.degraded === undefined) this.#remember(batch, result);
      return result;
    });
  }

  override refund(refunds: readonly Refund[]): Awaitable<void> {
    this.#forget(refunds);
    return this.inner.refund(refunds);
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    this.#forget(blocks);
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    this.#forget(cells);
    return this.inner.remove(cells);
  }

  override reset(): Awaitable<number> {
    this.#denials.clear();
    return this.inner.reset();
  }

  #remember(batch: readonly Hit[], result: BatchResult): void {
    if (batch.some(({ limit }) => limit.strategy === 'fixed-window-elastic-expiry' || limit.provisional))
      return;
    const since = this.now();
    const wait = Math.min(LONGEST_MEMORY, Math.max(...result.outcomes.map(waitOf)));
    const denial: Denial = { batch, result, since, until: since + wait };
    for (const bucket of new Set(batch.map((hit) => hit.bucket))) {
      const others = this.#denials.of(bucket).filter((one) => one.until > since && !isSame(one.batch, batch));
      this.#denials.set(bucket, [...others, denial]);
    }
  }

  /** A batch of several identities is remembered with each of them. */
  #forget(cells: readonly Cell[]): void {
    for (const denial of this.#denials.forget(cells)) denial.until = -Infinity;
  }
}

function isSame(one: readonly Hit[], other: readonly Hit[]): boolean {
  return (
    one.length === other.length &&
    one.every((hit, index) => {
      const { bucket, limit, cost } = other[index] as Hit;
      return hit.bucket === bucket && hit.cost === cost && isSameLimit(hit.limit, limit);
    })
  );
}

/** Ms for which an outcome keeps its batch from passing. */
function waitOf({ allowed, limit, retryAfter }: Outcome): number {
  return allowed || limit.mode === 'shadow' ? 0 : retryAfter;
}

/** The same refusal, so many ms later. Limits that would have allowed their hit by then do so. */
function later({ result }: Denial, batch: readonly Hit[], elapsed: number): BatchResult {
  const now = result.now + elapsed;
  return {
    allowed: false,
    now,
    outcomes: result.outcomes.map((outcome, index) => {
      const { cost, remaining, retryAfter } = outcome;
      const allowed = retryAfter <= elapsed;
      return {
        ...outcome,
        limit: batch[index]?.limit ?? outcome.limit,
        allowed,
        remaining: allowed ? Math.max(cost, remaining) : remaining,
        resetTime: Math.max(outcome.resetTime, now),
        retryAfter: allowed ? 0 : retryAfter - elapsed,
      };
    }),
  };
}
