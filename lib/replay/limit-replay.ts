import type { Hit } from '../core/contract.js';
import type { Limit } from '../core/limit.js';
import { MemoryStorage } from '../storages/memory/memory.storage.js';
import type { Identity } from './identities.js';
import type { LoggedRequest } from './log-reader.js';
import { Timeline } from './timeline.js';

/** Applies limits to the requests of a log, on the log's clock. Several limits are decided together: all or none. */
export class LimitReplay {
  refused = 0;
  /** Requests that each limit refused; more than one may refuse the same. */
  readonly refusedBy = new Map<Limit, number>();
  /** Refused requests of each tracked identity that had any. */
  readonly refusals = new Map<Identity, number>();
  readonly timeline = new Timeline();
  readonly #storage: MemoryStorage;
  #now = 0;

  /** @param maxIdentities identities that are counted separately; further ones share counts */
  constructor(
    readonly limits: readonly Limit[],
    maxIdentities: number,
  ) {
    this.#storage = new MemoryStorage({
      maxKeys: maxIdentities * limits.length,
      clock: { now: () => this.#now },
    });
  }

  /** Counts a request, which is not earlier than the last one; returns whether it is allowed. */
  allows({ time, identity }: LoggedRequest): boolean {
    this.#now = time;
    const { allowed, outcomes } = this.#storage.consume(this.#hitsOf(identity.name));
    this.timeline.add(time, !allowed);
    if (allowed) return true;
    this.refused++;
    for (const { limit, allowed: isAllowed } of outcomes)
      if (!isAllowed) this.refusedBy.set(limit, (this.refusedBy.get(limit) ?? 0) + 1);
    if (identity.isTracked) this.refusals.set(identity, (this.refusals.get(identity) ?? 0) + 1);
    return false;
  }

  /** Releases the memory of the counts. */
  close(): void {
    this.#storage.close();
  }

  #hitsOf(identity: string): Hit[] {
    return this.limits.map((limit) => ({ identity, limit, cost: 1 }));
  }
}
