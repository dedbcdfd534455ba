import { BoundedMap } from '../common/bounded-map.js';
import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { withdrawn, type BatchResult, type Cell, type Hit } from '../core/contract.js';
import { isSameLimit, type Limit } from '../core/limit.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { isWindow, Lease } from './lease.js';

export interface LeasingStorageOptions {
  /** Permits per lease; `'auto'` for as many as a tenth of a second needs. */
  readonly size: number | 'auto';
  /** The share of a limit that all processes together may hold. */
  readonly maxError: number;
  /** Over how many processes a limit is spread. */
  readonly instances: number;
}

/** How many identities have leases at a time. */
const MAX_IDENTITIES = 10_000;

/** Ms that a lease of automatic size lasts, about. */
const LEASE_HORIZON_MS = 100;

/**
 * Takes permits of hot identities in advance, so that most of their hits need no call of the store. Each process holds at most
 * `k − 1` permits of an identity and limit that nobody has used yet. So M processes admit at most M(k − 1) units above the bound of
 * a token bucket, none above that of a window, and refuse at most (M − 1)(k − 1) units too early.
 *
 * A lease that has been asked for is shared by as many hits as it has permits for; the next hit asks for another one at once. Fewer
 * are taken as a limit is used up; the last units go one by one.
 *
 * For hits on one fixed or calendar window or token bucket that enforces, blocks nobody and does not count by outcome.
 *
 * Source: shrinking batches, as in guided self-scheduling (C. Polychronopoulos and D. Kuck, 1987).
 */
export class LeasingStorage extends WrappedStorage {
  /** The newest lease of each limit. */
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
    // The store must have what is left before it is asked for more, or it would refuse what is there.
    if (known?.isAnswered === true && left > 0 && left < hit.cost)
      return this.#giveBack(known).then(() => this.consume(batch));
    const lease = known !== undefined && hit.cost <= left ? known : this.#begin(hit, known);
    return chain(lease.serve(hit), (result) => result ?? this.inner.consume(batch));
  }

  /** Permits that are held here are there for whoever asks here. */
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

  /** Permits for what is forgotten are worth nothing any more. */
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

  override reset(): Awaitable<number> {
    this.#leases.clear();
    return this.inner.reset();
  }

  /** Gives back what nobody has used; who is still waiting for the store keeps nobody waiting. */
  override async close(): Promise<void> {
    const leases = this.#leases.clear().flat();
    for (const lease of leases.filter(({ isAnswered }) => !isAnswered)) void this.#giveBack(lease);
    await this.#giveBack(...leases.filter(({ isAnswered }) => isAnswered));
    await this.inner.close();
  }

  /** The hit of a batch that leases may serve. */
  #leasable(batch: readonly Hit[]): Hit | undefined {
    const [hit] = batch;
    return batch.length === 1 && hit !== undefined && this.#largest(hit.limit) > 1 ? hit : undefined;
  }

  /** Permits of the largest lease of a limit: 1 means none. */
  #largest({ strategy, mode, block, refundable, amount, burst }: Limit): number {
    const isLeasable =
      (isWindow(strategy) || strategy === 'token-bucket') &&
      mode === 'enforce' &&
      block.length === 0 &&
      !refundable;
    const { maxError, instances } = this.options;
    return isLeasable ? 1 + Math.floor((maxError * Math.min(amount, burst)) / instances) : 1;
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
    // Whoever was to be served is decided otherwise.
    if (isPromise(answer)) answer.catch(() => this.#giveBack(lease));
    const others = (this.#leases.get(identity) ?? []).filter((one) => one !== before && !one.isOver);
    const forgotten = this.#leases.set(identity, [...others, lease]).flat();
    for (const one of before === undefined ? forgotten : [...forgotten, before]) void this.#giveBack(one);
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

  /** As soon as all of them are answered. What cannot be given back stays counted for as long as if it had been used. */
  async #giveBack(...leases: readonly Lease[]): Promise<void> {
    const released = await Promise.allSettled(leases.map((lease) => lease.release()));
    const receipts = released.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (receipts.length === 0) return;
    try {
      await this.inner.settle(withdrawn(receipts));
    } catch {
      // It stays counted.
    }
  }
}

/** As many permits as the last tenth of a second would have needed; at most twice as many as before. */
function pace(before: Lease | undefined, now: number): number {
  if (before === undefined) return 1;
  const needed = Math.round((before.used * LEASE_HORIZON_MS) / (now - before.begunAt));
  return Math.max(1, Math.min(2 * before.hit.cost, needed));
}
