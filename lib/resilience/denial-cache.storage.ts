import { BoundedMap } from '../common/bounded-map.js';
import { chain, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit, Outcome, Settlement } from '../core/contract.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { isSameLimit } from '../core/limit.js';

/** Ms that a refusal is remembered at most: so long does it take until others' refunds and raised limits are noticed. */
const MAX_DENIAL_AGE_MS = 2000;

/** Of how many identities refusals are remembered. */
const MAX_IDENTITIES = 10_000;

/** How many batches of the same identities, of other limits or costs, are remembered. */
const MAX_ALIKE = 16;

/** A batch that was refused. */
interface Denial {
  readonly batch: readonly Hit[];
  readonly result: BatchResult;
  /** When the store was asked, by `performance.now()`, which no clock that is set changes. */
  readonly since: number;
  /** Brought forward when it is forgotten. */
  until: number;
}

/**
 * Remembers refusals, so that an identity that is refused again and again costs the store one call in two seconds. Limits whose
 * refusals change something (elastic windows) or may end at any time (those that count by outcome) are always asked about.
 */
export class DenialCacheStorage extends WrappedStorage {
  /** By all buckets of the batch. */
  readonly #denials = new BoundedMap<readonly Denial[]>(MAX_IDENTITIES);
  /** By each bucket that refuses, to be forgotten with it. */
  readonly #byIdentity = new Map<string, Set<Denial>>();
  /** Counts what may end refusals: one that was being made meanwhile is not remembered. */
  #endings = 0;

  constructor(
    inner: Storage,
    private readonly now: () => number = () => performance.now(),
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    const key = keyOf(batch);
    const since = this.now();
    const denial = this.#denials.get(key)?.find((one) => one.until > since && isSame(one.batch, batch));
    if (denial !== undefined) return later(denial, batch, Math.floor(since - denial.since));
    const endings = this.#endings;
    return chain(this.inner.consume(batch), (result) => {
      if (result.allowed)
        this.#forget(batch); // what was taken makes others wait longer
      else if (endings === this.#endings) this.#remember(key, batch, result, since);
      return result;
    });
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    return this.#ending(settlements, () => this.inner.settle(settlements));
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    return this.#ending(blocks, () => this.inner.block(blocks));
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    return this.#ending(cells, () => this.inner.remove(cells));
  }

  override reset(): Awaitable<number> {
    this.#denials.clear();
    this.#byIdentity.clear();
    return this.#ending([], () => this.inner.reset());
  }

  /** Calls the store to do what ends refusals of some identities: they are forgotten, and not remembered until it is done. */
  #ending<T>(cells: readonly Cell[], call: () => Awaitable<T>): Awaitable<T> {
    this.#endings++;
    this.#forget(cells);
    return chain(call(), (answer) => {
      this.#endings++;
      return answer;
    });
  }

  #forget(cells: readonly Cell[]): void {
    if (this.#byIdentity.size === 0) return;
    for (const { identity } of cells) {
      for (const denial of this.#byIdentity.get(identity) ?? []) denial.until = -Infinity;
      this.#byIdentity.delete(identity);
    }
  }

  #remember(key: string, batch: readonly Hit[], result: BatchResult, since: number): void {
    if (batch.some(({ limit }) => limit.strategy === 'fixed-window-elastic-expiry' || limit.refundable))
      return;
    const wait = Math.min(MAX_DENIAL_AGE_MS, Math.max(...result.outcomes.map(waitOf)));
    const denial: Denial = { batch, result, since, until: since + wait };
    const alike = this.#denials.get(key) ?? [];
    const others = alike.filter((one) => one.until > since && !isSame(one.batch, batch));
    const kept = [denial, ...others.slice(0, MAX_ALIKE - 1)];
    const forgotten = this.#denials.set(key, kept).flat();
    for (const one of [...forgotten, ...alike.filter((each) => !kept.includes(each))]) this.#drop(one);
    for (const { identity } of refusing(denial)) {
      const denials = this.#byIdentity.get(identity);
      if (denials === undefined) this.#byIdentity.set(identity, new Set([denial]));
      else denials.add(denial);
    }
  }

  #drop(denial: Denial): void {
    for (const { identity } of refusing(denial)) {
      const denials = this.#byIdentity.get(identity);
      denials?.delete(denial);
      if (denials?.size === 0) this.#byIdentity.delete(identity);
    }
  }
}

function refusing({ result }: Denial): readonly Outcome[] {
  return result.outcomes.filter((outcome) => waitOf(outcome) > 0);
}

/** The identities of a batch; most have one. */
function keyOf(batch: readonly Hit[]): string {
  const [first, ...others] = batch;
  if (first === undefined) return '';
  return others.every(({ identity }) => identity === first.identity)
    ? first.identity
    : batch.map(({ identity }) => identity).join('\n');
}

function isSame(one: readonly Hit[], other: readonly Hit[]): boolean {
  return (
    one.length === other.length &&
    one.every((hit, index) => {
      const { identity, limit, cost } = other[index] as Hit;
      return hit.identity === identity && hit.cost === cost && isSameLimit(hit.limit, limit);
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
        limit: (batch[index] as Hit).limit,
        allowed,
        remaining: allowed ? Math.max(cost, remaining) : remaining,
        resetTime: Math.max(outcome.resetTime, now),
        retryAfter: allowed ? 0 : retryAfter - elapsed,
      };
    }),
  };
}
