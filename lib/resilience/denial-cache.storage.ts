import { BoundedMap } from '../common/bounded-map.js';
import { chain, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit, Outcome, Settlement } from '../core/contract.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { isSameLimit, type Limit } from '../core/limit.js';

/**
 * Longest time that a refusal is cached, in ms. Refunds by other processes and raised limits are
 * noticed after that time.
 */
const MAX_DENIAL_AGE_MS = 2000;

/** Maximum number of identities with cached refusals. */
const MAX_IDENTITIES = 10_000;

/** Maximum number of cached batches of the same identities; they differ in limits or costs. */
const MAX_BATCHES = 16;

/** A batch that was refused. */
interface Denial {
  readonly batch: readonly Hit[];
  readonly result: BatchResult;
  /** When the store was called, by `performance.now()`, since the system clock can be set back. */
  readonly since: number;
  /** When the entry expires. Set to the past to invalidate it. */
  until: number;
}

/**
 * Caches refusals, so that an identity that is refused repeatedly costs one call of the store per
 * two seconds. Caches a refusal while a limit refuses whose time is certain. Does not cache refusals
 * that change a count (elastic windows, and limits that block after several refusals, until they
 * do). Limits that count by outcome and slots of concurrent requests are not certain: they may allow
 * at any time.
 */
export class DenialCacheStorage extends WrappedStorage {
  /** By the identities of the batch. */
  readonly #denials = new BoundedMap<readonly Denial[]>(MAX_IDENTITIES);
  /** By each identity that was refused, for invalidation. */
  readonly #byIdentity = new Map<string, Set<Denial>>();
  /**
   * Counts the calls that may end refusals. A refusal that was decided during one is not cached.
   */
  #endings = 0;

  constructor(
    inner: Storage,
    private readonly now: () => number = () => performance.now(),
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.#decide(batch, () =>
      chain(this.inner.consume(batch), (result) => {
        if (result.allowed) this.#forget(batch); // the hit makes the others wait longer
        return result;
      }),
    );
  }

  /**
   * Returns a cached refusal too, since `consume` would. Caches a refusal as `consume` does, unless `consume` would start a block by it:
   * calls that find a full line only peek.
   */
  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    const mayBlock = batch.some(({ limit }) => limit.block.length > 0);
    if (mayBlock) return this.#denied(keyOf(batch), batch, this.now()) ?? this.inner.peek(batch);
    return this.#decide(batch, () => this.inner.peek(batch));
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    // A refusal by slots alone is not cached, so their release and renewal invalidate none.
    const ending = settlements.filter(({ limit }) => limit.strategy !== 'concurrency');
    if (ending.length === 0) return this.inner.settle(settlements);
    return this.#ending(ending, () => this.inner.settle(settlements));
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    return this.#ending(blocks, () => this.inner.block(blocks));
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    return this.#ending(cells, () => this.inner.remove(cells));
  }

  override removeLimits(limits: readonly Limit[]): Awaitable<void> {
    this.#forgetAll();
    return this.#ending([], () => this.inner.removeLimits(limits));
  }

  override reset(): Awaitable<number> {
    this.#forgetAll();
    return this.#ending([], () => this.inner.reset());
  }

  #decide(batch: readonly Hit[], call: () => Awaitable<BatchResult>): Awaitable<BatchResult> {
    const key = keyOf(batch);
    const since = this.now();
    const denied = this.#denied(key, batch, since);
    if (denied !== undefined) return denied;
    const endings = this.#endings;
    return chain(call(), (result) => {
      if (!result.allowed && endings === this.#endings) this.#cache(key, batch, result, since);
      return result;
    });
  }

  #denied(key: string, batch: readonly Hit[], now: number): BatchResult | undefined {
    const denial = this.#denials.get(key)?.find((one) => one.until > now && isSameBatch(one.batch, batch));
    return denial && refusalAfter(denial, batch, Math.floor(now - denial.since));
  }

  #forgetAll(): void {
    this.#denials.clear();
    this.#byIdentity.clear();
  }

  /**
   * Calls the store with an operation that may end refusals of some identities. Invalidates their
   * refusals, and caches none until the call ends.
   */
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

  #cache(key: string, batch: readonly Hit[], result: BatchResult, since: number): void {
    if (batch.some(({ limit }) => limit.strategy === 'fixed-window-elastic-expiry')) return;
    const wait = Math.min(MAX_DENIAL_AGE_MS, Math.max(...result.outcomes.map(certainWaitOf)));
    if (wait === 0) return;
    const denial: Denial = { batch, result, since, until: since + wait };
    const before = this.#denials.get(key) ?? [];
    const others = before.filter((one) => one.until > since && !isSameBatch(one.batch, batch));
    const kept = [denial, ...others.slice(0, MAX_BATCHES - 1)];
    const dropped = this.#denials.set(key, kept).flat();
    for (const one of [...dropped, ...before.filter((each) => !kept.includes(each))]) this.#drop(one);
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
  return result.outcomes.filter((outcome) => certainWaitOf(outcome) > 0);
}

/** Returns the identities of a batch as one key. Most batches have a single identity. */
function keyOf(batch: readonly Hit[]): string {
  const [first, ...others] = batch;
  if (first === undefined) return '';
  return others.every(({ identity }) => identity === first.identity)
    ? first.identity
    : batch.map(({ identity }) => identity).join('\n');
}

function isSameBatch(one: readonly Hit[], other: readonly Hit[]): boolean {
  return (
    one.length === other.length &&
    one.every((hit, index) => {
      const { identity, limit, cost } = other[index] as Hit;
      return hit.identity === identity && hit.cost === cost && isSameLimit(hit.limit, limit);
    })
  );
}

/** Returns the ms for which an outcome certainly refuses its batch. */
function certainWaitOf({ allowed, limit, retryAfter = 0, blocked }: Outcome): number {
  const isCertain = !limit.refundable && (limit.blockAfter === 1 || blocked === true);
  return allowed || limit.mode === 'shadow' || !isCertain ? 0 : retryAfter;
}

/** Returns a cached refusal after `elapsed` ms. Limits that would allow their hit by then do so. */
function refusalAfter({ result }: Denial, batch: readonly Hit[], elapsed: number): BatchResult {
  const now = result.now + elapsed;
  return {
    allowed: false,
    now,
    outcomes: result.outcomes.map((outcome, index) => {
      const { cost, remaining, retryAfter } = outcome;
      const allowed = retryAfter !== undefined && retryAfter <= elapsed;
      return {
        ...outcome,
        limit: (batch[index] as Hit).limit,
        allowed,
        remaining: allowed ? Math.max(cost, remaining) : remaining,
        resetTime: Math.max(outcome.resetTime, now),
        retryAfter: allowed ? 0 : retryAfter && retryAfter - elapsed,
      };
    }),
  };
}
