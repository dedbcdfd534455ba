import type { Limit } from '../core/limit.js';
import type { Identity } from './identities.js';
import { LimitReplay } from './limit-replay.js';
import type { LoggedRequest } from './log-reader.js';

/** Requests whose decision changes, of some identities. */
export class ChangedDecisions {
  requests = 0;
  readonly identities = new Set<Identity>();

  add(identity: Identity): void {
    this.requests++;
    if (identity.isTracked) this.identities.add(identity);
  }
}

/** Replays a log under new limits and, for comparison, under the previous ones. Without those, all was allowed. */
export class Rehearsal {
  requests = 0;
  /** Requests of identities that are not tracked. */
  untracked = 0;
  /** Epoch ms of the first and the last request; NaN if there is none. */
  from = NaN;
  to = NaN;
  readonly newlyRefused = new ChangedDecisions();
  readonly newlyAllowed = new ChangedDecisions();
  readonly limit: LimitReplay;
  readonly was: LimitReplay | undefined;
  /** Tracked identities that had requests. */
  identities = 0;
  #most = 0;

  constructor(limits: readonly Limit[], was: readonly Limit[] | undefined, maxIdentities: number) {
    this.limit = new LimitReplay(limits, maxIdentities);
    this.was = was && new LimitReplay(was, maxIdentities);
  }

  add(request: LoggedRequest): void {
    const { time, identity } = request;
    if (this.requests === 0) this.from = time;
    this.requests++;
    this.to = time;
    identity.requests++;
    if (!identity.isTracked) this.untracked++;
    else if (identity.requests === 1) this.identities++;
    this.#most = Math.max(this.#most, identity.requests);

    const isAllowed = this.limit.allows(request);
    const wasAllowed = this.was?.allows(request) ?? true;
    if (isAllowed === wasAllowed) return;
    (isAllowed ? this.newlyAllowed : this.newlyRefused).add(identity);
  }

  /** The most requests of one identity; all requests if some were not tracked. */
  get mostRequests(): number {
    return this.untracked > 0 ? this.requests : this.#most;
  }

  /** The identities with the most refused requests, under the new limits or the previous ones; of those, under the new ones first. */
  worst(count: number): Identity[] {
    const refused = new Set([...this.limit.refusals.keys(), ...(this.was?.refusals.keys() ?? [])]);
    const now = (identity: Identity): number => this.limit.refusals.get(identity) ?? 0;
    const before = (identity: Identity): number => this.was?.refusals.get(identity) ?? 0;
    return [...refused]
      .sort((one, other) => now(other) - now(one) || before(other) - before(one))
      .slice(0, count);
  }

  close(): void {
    this.limit.close();
    this.was?.close();
  }
}
