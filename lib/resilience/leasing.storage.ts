import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit } from '../storages/contract.js';
import type { Limit } from '../storages/limit.js';
import type { Storage } from '../storages/storage.js';
import { WrappedStorage } from '../storages/wrapped.storage.js';
import { LateAnswerError } from './guarded.storage.js';
import { Lease } from './lease.js';
import { RecentBuckets } from './recent-buckets.js';
import { isSameLimit } from './same-limit.js';

export interface LeasingStorageOptions {
  /** Permits per lease; `'auto'` for as many as a tenth of a second needs. */
  readonly size: number | 'auto';
  /** The share of a limit that all processes together may hold. */
  readonly maxError: number;
  /** Over how many processes a limit is spread. */
  readonly instances: number;
}

/** Ms that a lease of automatic size lasts, about. */
const HORIZON = 100;

/**
 * Takes permits of hot identities in advance, so that most of their hits need no call of the store. Each process holds at most
 * `k − 1` permits of an identity and limit that nobody has used yet. So M processes admit at most M(k − 1) units above the bound of
 * a token bucket, none above that of a fixed window, and refuse at most (M − 1)(k − 1) units too early.
 *
 * A lease that has been asked for is shared by as many hits as it has permits for: nobody waits for more than one call. Fewer are
 * taken as a limit is used up; the last units go one by one.
 *
 * For hits on one limit, of these two strategies, that enforces, blocks nobody and does not count by outcome.
 *
 * Source: shrinking batches, as in guided self-scheduling (C. Polychronopoulos and D. Kuck, 1987).
 */
export class LeasingStorage extends WrappedStorage {
  /** The newest lease of each limit. */
  readonly #leases = new RecentBuckets<Lease>();

  constructor(
    inner: Storage,
    private readonly options: LeasingStorageOptions,
    private readonly now: () => number = () => performance.now(),
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    const hit = this.#leasable(batch);
    if (hit === undefined || hit.cost === 0) return this.inner.consume(batch);
    const known = this.#leaseOf(hit);
    const lease = known !== undefined && hit.cost <= known.left ? known : this.#begin(hit, known);
    return chain(lease.serve(hit), (result) => result ?? this.inner.consume(batch));
  }

  /** Permits that are held here are there for whoever asks here. */
  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    const hit = this.#leasable(batch);
    const left = hit === undefined ? 0 : (this.#leaseOf(hit)?.left ?? 0);
    if (left === 0) return this.inner.peek(batch);
    return chain(this.inner.peek(batch), (result) => {
      const outcomes = result.outcomes.map((outcome) => {
        const allowed = outcome.allowed || outcome.cost <= left;
        return {
          ...outcome,
          allowed,
          remaining: outcome.remaining + left,
          retryAfter: allowed ? 0 : outcome.retryAfter,
        };
      });
      return { ...result, outcomes, allowed: outcomes.every(({ allowed }) => allowed) };
    });
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    this.#leases.forget(blocks);
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    this.#leases.forget(cells);
    return this.inner.remove(cells);
  }

  override reset(): Awaitable<number> {
    this.#leases.clear();
    return this.inner.reset();
  }

  /** Gives back what nobody has used. */
  override async close(): Promise<void> {
    await Promise.all(this.#leases.clear().map((lease) => this.#giveBack(lease)));
    await this.inner.close();
  }

  /** The hit of a batch that leases may serve. */
  #leasable(batch: readonly Hit[]): Hit | undefined {
    const [hit] = batch;
    return batch.length === 1 && hit !== undefined && this.#largest(hit.limit) > 1 ? hit : undefined;
  }

  /** Permits of the largest lease of a limit: 1 means none. */
  #largest({ strategy, mode, block, provisional, amount, burst }: Limit): number {
    const isLeasable =
      (strategy === 'fixed-window' || strategy === 'token-bucket') &&
      mode === 'enforce' &&
      block.length === 0 &&
      !provisional;
    const { maxError, instances } = this.options;
    return isLeasable ? 1 + Math.floor((maxError * Math.min(amount, burst)) / instances) : 1;
  }

  #leaseOf({ bucket, limit }: Hit): Lease | undefined {
    return this.#leases.of(bucket).find(({ hit }) => isSameLimit(hit.limit, limit));
  }

  #begin(hit: Hit, before: Lease | undefined): Lease {
    const { bucket } = hit;
    const now = this.now();
    const taken = { ...hit, cost: this.#sizeFor(hit, before, now) };
    const answer = this.inner.consume([taken]);
    const lease = new Lease(taken, answer, now, this.now);
    if (isPromise(answer)) answer.catch((error: unknown) => this.#giveBackLate(lease, error));
    if (before !== undefined) void this.#giveBack(before); // less than this hit needs
    const others = this.#leases
      .of(bucket)
      .filter((one) => one !== before && now - one.begunAt < one.hit.limit.period);
    for (const forgotten of this.#leases.set(bucket, [...others, lease])) void this.#giveBack(forgotten);
    return lease;
  }

  /** A multiple of what the hit costs. */
  #sizeFor({ limit, cost }: Hit, before: Lease | undefined, now: number): number {
    const { size, instances } = this.options;
    const wanted = size === 'auto' ? pace(before, now) : size;
    const fair = Math.ceil((before?.available ?? limit.burst) / (2 * instances));
    const permits = Math.min(wanted, fair, this.#largest(limit));
    return cost * Math.max(1, Math.floor(permits / cost));
  }

  /** Whoever was to be served a lease that has not come in time is decided otherwise. */
  #giveBackLate(lease: Lease, error: unknown): void {
    void this.#giveBack(
      lease,
      error instanceof LateAnswerError ? (error.answer as Promise<BatchResult>) : undefined,
    );
  }

  async #giveBack(lease: Lease, answer?: Promise<BatchResult>): Promise<void> {
    try {
      const receipts = await lease.release(answer);
      if (receipts.length > 0) await this.inner.refund(receipts);
    } catch {
      // It stays counted for as long as if it had been used.
    }
  }
}

/** As many permits as the last tenth of a second would have needed; at most twice as many as before. */
function pace(before: Lease | undefined, now: number): number {
  if (before === undefined) return 1;
  const needed = Math.round((before.used * HORIZON) / (now - before.begunAt));
  return Math.max(1, Math.min(2 * before.hit.cost, needed));
}
