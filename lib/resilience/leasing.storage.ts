import { BoundedMap } from '../common/bounded-map.js';
import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { withdrawn, type BatchResult, type Cell, type Hit, type Settlement } from '../core/contract.js';
import { isSameLimit, type Limit } from '../core/limit.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { isWindow, Lease } from './lease.js';

export interface LeasingStorageOptions {
  /** Permits per lease; `'auto'` for the demand of 100 ms. */
  readonly size: number | 'auto';
  /** Share of a limit that all processes together may hold in advance. */
  readonly maxError: number;
  /** Number of processes that share a limit. */
  readonly instances: number;
}

/** Maximum number of identities with leases. */
const MAX_IDENTITIES = 10_000;

/** Approximate duration of a lease of automatic size, in ms. */
const LEASE_HORIZON_MS = 100;

/**
 * Takes permits for busy identities in advance, so that most of their hits need no call of the
 * store. Each process holds at most `k − 1` unused permits per identity and limit. So M processes
 * admit at most M(k − 1) units above the bound of a token bucket, and none above that of a
 * window. They refuse at most (M − 1)(k − 1) units too early.
 *
 * Hits share a pending lease as long as it has permits; the next hit requests another lease
 * immediately. Leases shrink as a limit is used up; the last units are taken one by one.
 *
 * Used for batches with a single hit on a fixed or calendar window or token bucket that is enforced, has no
 * blocks and does not count by outcome.
 *
 * Source: shrinking batches, as in guided self-scheduling (C. Polychronopoulos and D. Kuck, 1987).
 */
export class LeasingStorage extends WrappedStorage {
  /** The latest lease of each limit, by identity. */
  readonly #leases = new BoundedMap<readonly Lease[]>(MAX_IDENTITIES);

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
    const left = known?.left ?? 0;
    // Refund the rest before calling the store, or it would refuse units that are still held here.
    if (known?.isAnswered === true && left > 0 && left < hit.cost)
      return this.#giveBack(known).then(() => this.consume(batch));
    const lease = known !== undefined && hit.cost <= left ? known : this.#begin(hit, known);
    return chain(lease.serve(hit), (result) => result ?? this.inner.consume(batch));
  }

  /** Returns the state of the store plus the permits held here. */
  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    const hit = this.#leasable(batch);
    if (hit === undefined || this.#leaseOf(hit) === undefined) return this.inner.peek(batch);
    return chain(this.inner.peek(batch), (result) => {
      const lease = this.#leaseOf(hit);
      const left = lease?.isAnswered === true ? lease.left : 0;
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

  /**
   * Refunds permits where the store has to know what is used: before a refund without a receipt, which
   * would return unused ones, and when a hit that has cost more has used up its limit.
   */
  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    const refunds = settlements.filter(({ window }) => window === 'current');
    return chain(this.#endLeasesOf(refunds), () =>
      chain(this.inner.settle(settlements), (result) => {
        const exhausted = settlements.filter(
          ({ actual, cost }, index) => actual > cost && result.outcomes[index]?.remaining === 0,
        );
        return chain(this.#endLeasesOf(exhausted), () => result);
      }),
    );
  }

  /** Drops the leases of the cells, since their permits are void. */
  override remove(cells: readonly Cell[]): Awaitable<void> {
    for (const { identity, limit } of cells) {
      const leases = this.#leases.get(identity);
      if (leases !== undefined)
        this.#leases.set(
          identity,
          leases.filter(({ hit }) => hit.limit.id !== limit.id),
        );
    }
    return this.inner.remove(cells);
  }

  override removeLimits(limits: readonly Limit[]): Awaitable<void> {
    const ids = new Set(limits.map(({ id }) => id));
    const kept = this.#leases
      .clear()
      .flat()
      .filter(({ hit }) => !ids.has(hit.limit.id));
    for (const lease of kept) {
      const { identity } = lease.hit;
      this.#leases.set(identity, [...(this.#leases.get(identity) ?? []), lease]);
    }
    return this.inner.removeLimits(limits);
  }

  override reset(): Awaitable<number> {
    this.#leases.clear();
    return this.inner.reset();
  }

  /** Refunds unused permits. Does not wait for leases that the store has not answered yet. */
  override async close(): Promise<void> {
    await this.#end(this.#leases.clear().flat());
    await this.inner.close();
  }

  /** Returns the hit of a batch that leases can serve. */
  #leasable(batch: readonly Hit[]): Hit | undefined {
    const [hit] = batch;
    return batch.length === 1 && hit !== undefined && this.#largest(hit.limit) > 1 ? hit : undefined;
  }

  /** Returns the size of a limit's largest lease; 1 if it takes no leases. */
  #largest({ strategy, mode, block, refundable, amount, burst }: Limit): number {
    const isLeasable =
      (isWindow(strategy) || strategy === 'token-bucket') &&
      mode === 'enforce' &&
      block.length === 0 &&
      !refundable;
    const { maxError, instances } = this.options;
    return isLeasable ? 1 + Math.floor((maxError * Math.min(amount, burst)) / instances) : 1;
  }

  /** Refunds the permits of cells. Does not wait for leases that the store has not answered yet. */
  #endLeasesOf(cells: readonly Cell[]): Awaitable<void> {
    const leases = cells.flatMap(({ identity, limit }) =>
      (this.#leases.get(identity) ?? []).filter(({ hit, left }) => hit.limit.id === limit.id && left > 0),
    );
    return leases.length === 0 ? undefined : this.#end(leases);
  }

  async #end(leases: readonly Lease[]): Promise<void> {
    for (const lease of leases.filter(({ isAnswered }) => !isAnswered)) void this.#giveBack(lease);
    await this.#giveBack(...leases.filter(({ isAnswered }) => isAnswered));
  }

  #leaseOf({ identity, limit }: Hit): Lease | undefined {
    return this.#leases.get(identity)?.find(({ hit }) => isSameLimit(hit.limit, limit));
  }

  #begin(hit: Hit, before: Lease | undefined): Lease {
    const { identity } = hit;
    const now = this.now();
    const taken = { ...hit, cost: this.#sizeFor(hit, before, now) };
    const answer = this.inner.consume([taken]);
    const lease = new Lease(taken, answer, now, this.now);
    // Hits that wait for this lease handle the error themselves.
    if (isPromise(answer)) answer.catch(() => this.#giveBack(lease));
    const others = (this.#leases.get(identity) ?? []).filter((one) => one !== before && !one.isOver);
    const forgotten = this.#leases.set(identity, [...others, lease]).flat();
    for (const one of before === undefined ? forgotten : [...forgotten, before]) void this.#giveBack(one);
    return lease;
  }

  /** Returns the size of a new lease, a multiple of the hit's cost. */
  #sizeFor({ limit, cost }: Hit, before: Lease | undefined, now: number): number {
    const { size, instances } = this.options;
    const wanted = size === 'auto' ? pace(before, now) : size;
    const fair = Math.ceil((before?.available ?? limit.burst) / (2 * instances));
    const permits = Math.min(wanted, fair, this.#largest(limit));
    return cost * Math.max(1, Math.floor(permits / cost));
  }

  /**
   * Refunds unused permits once all leases are answered. If that fails, they stay counted as if
   * they had been used.
   */
  async #giveBack(...leases: readonly Lease[]): Promise<void> {
    const released = await Promise.allSettled(leases.map((lease) => lease.release()));
    const receipts = released.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (receipts.length === 0) return;
    try {
      await this.inner.settle(withdrawn(receipts));
    } catch {
      // The permits stay counted.
    }
  }
}

/** Returns the permits that the last 100 ms would have needed, at most twice as many as before. */
function pace(before: Lease | undefined, now: number): number {
  if (before === undefined || before.used === 0) return 1;
  const needed = Math.round((before.used * LEASE_HORIZON_MS) / (now - before.begunAt));
  return Math.max(1, Math.min(2 * before.hit.cost, needed));
}
