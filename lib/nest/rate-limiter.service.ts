import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { chain, type Awaitable } from '../common/awaitable.js';
import { describeValue } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import type { Hit } from '../core/contract.js';
import { announceReturn } from '../core/returned-units.js';
import { ItemHits } from '../limiter/item-hits.js';
import { Limiter } from '../limiter/limiter.js';
import { describeDuration } from '../notation/describe-period.js';
import type { LimitInput } from '../notation/limit-input.js';
import { fixedPosition } from '../policies/limit-drafts.js';
import { parseDuration } from '../notation/parse-duration.js';
import type { RateLimitEvent, RateLimitEvents } from '../observability/rate-limit-events.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';
import type { RateLimitNetworks, RateLimitRule } from './options/rate-limit.options.js';
import { DECIDING_STORAGE, RATE_LIMIT_EVENTS, RATE_LIMIT_OPTIONS } from './options/rate-limit.tokens.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { ReferencedHits } from './request/referenced-hits.js';
import type { PolicyReference } from './routes/route-policy.js';
import { RouteRules } from './routes/route-rules.js';
import { SharedSettingsService, type SharedChange, type SharedSettings } from './settings/shared-settings.js';
import type { SharedRule } from '../policies/shared-rules.js';
import { shownByName } from '../common/inspection.js';

/**
 * Counts hits in code, and reads and changes the counts of the guard.
 *
 * - By limit: `hit('10/minute', 'mails', userId)`, with the module's strategy. Its counts are separate from those of all routes.
 * - By policy: `peek({ policy: 'login' }, identity)`. The identity is the value of the policy's `key`, or the client's address if
 *   the policy has no key. Shares its counts with the guard. Throws a `ConfigurationError` unless exactly one policy matches.
 *   A policy whose limits a function returns is reached with them: `{ policy: 'api', limits: '3/hour' }`.
 *
 * @example
 * ```ts
 * import { Injectable } from '@nestjs/common';
 * import { RateLimiterService } from 'nestjs-limits';
 *
 * @Injectable()
 * class MailService {
 *   constructor(private readonly limiter: RateLimiterService) {}
 *
 *   async send(userId: string) {
 *     const decision = await this.limiter.consume('20/hour', 'mails', userId);
 *     if (!decision.allowed) throw new Error(`Try again in ${decision.retryAfter} ms.`);
 *   }
 *
 *   forgive(address: string) {
 *     return this.limiter.clear({ policy: 'login' }, address);
 *   }
 * }
 * ```
 */
@Injectable()
@shownByName
export class RateLimiterService extends Limiter<LimitInput | PolicyReference> {
  readonly #items: ItemHits;
  /** The option of the module that finds for each request where the calendar windows of bare limits lie. */
  readonly #found: string | undefined;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) { strategy, timeZone, anchor }: ResolvedOptions,
    @Inject(DECIDING_STORAGE) storage: DecidingStorage,
    @Inject(ReferencedHits) private readonly referenced: ReferencedHits,
    @Inject(RouteRules) private readonly routeRules: RouteRules,
    @Inject(RATE_LIMIT_EVENTS) private readonly events: RateLimitEvents,
    @Inject(SharedSettingsService) private readonly shared: SharedSettingsService,
  ) {
    super(storage);
    this.#items = new ItemHits(storage, strategy, fixedPosition({ timeZone, anchor }));
    this.#found =
      strategy === 'calendar-window'
        ? Object.entries({ timeZone, anchor }).find(([, value]) => typeof value === 'function')?.[0]
        : undefined;
  }

  /** Emits events from subscription on: decisions, refusals, settled hits, calls of the store, a store lost or back. */
  get events$(): Observable<RateLimitEvent> {
    return this.events.events$;
  }

  /** Returns the rules that hold in this process, in the order in which they were given; those that are shared included. */
  rules(): readonly RateLimitRule[] {
    return this.routeRules.rules;
  }

  /**
   * Replaces all rules in one step, from the next request on. A rule keeps its counts if its id, window and strategy stay the same.
   * Returns a promise while what the first calendar window of an application needs is loaded.
   *
   * @throws ConfigurationError naming the invalid rule; the rules then stay unchanged
   */
  setRules(rules: readonly RateLimitRule[]): Awaitable<void>;
  /**
   * Replaces the shared rules in the store. They hold in this process at once, and in all others within three seconds. A shared rule
   * changes the options of the rule of the code with its `id`, switches it off, or is a new one. It is ignored, with a warning, by
   * processes whose code has another rule of this `id` than that of this process.
   *
   * @returns the settings with their new version
   * @throws ConfigurationError naming the invalid rule, and without the option `settings: { shared: true }`; ConcurrentUpdateError if
   * another process has changed the settings; StorageError when the store fails
   * @example
   * ```ts
   * import type { RateLimiterService } from 'nestjs-limits';
   *
   * async function slowDown(limiter: RateLimiterService) {
   *   const { version, rules } = await limiter.sharedSettings();
   *   await limiter.setRules([...rules, { id: 'api', limits: '10/minute' }], { everywhere: true, version });
   * }
   * ```
   */
  setRules(rules: readonly SharedRule[], change: SharedChange): Promise<SharedSettings>;
  setRules(
    rules: readonly RateLimitRule[] | readonly SharedRule[],
    change?: SharedChange,
  ): Awaitable<SharedSettings | void> {
    return change === undefined
      ? this.shared.setOwnRules(rules as readonly RateLimitRule[])
      : this.shared.setRules(rules as readonly SharedRule[], change);
  }

  /**
   * Reads the shared settings from the store.
   *
   * @throws ConfigurationError without the option `settings: { shared: true }`; StorageError when the store fails
   */
  sharedSettings(): Promise<SharedSettings> {
    return this.shared.read();
  }

  /**
   * Blocks an identity, as a refusal by the policy does.
   *
   * @param identity the value of the policy's `key`; a list if the key has several parts
   * @param duration for example `'1 hour'`, at most the longest of the policy's `block`. Default: the first of those
   * @throws ConfigurationError if the policy has no `block`; RangeError if the duration is too long
   */
  block(
    reference: PolicyReference,
    identity: string | readonly string[],
    duration?: string,
  ): Awaitable<void> {
    const cells = this.#blockingCells(reference, identity);
    const given = givenDuration(cells, reference, duration);
    return this.storage.block(
      cells.flatMap(({ identity, limit }) => {
        const [first = 0] = limit.block;
        const isTooLong = given !== undefined && given > Math.max(...limit.block); // for this limit, not for all
        return isTooLong ? [] : [{ identity, limit, duration: given ?? first }];
      }),
    );
  }

  /** Lifts the block of an identity and keeps its counts; `clear` removes both. */
  unblock(reference: PolicyReference, identity: string | readonly string[]): Awaitable<void> {
    const cells = this.#blockingCells(reference, identity);
    return this.storage.block(cells.map(({ identity, limit }) => ({ identity, limit, duration: 0 })));
  }

  /** Returns the cells of the limits that block. Slots beside a rate do not. */
  #blockingCells(reference: PolicyReference, identity: string | readonly string[]): Hit[] {
    return this.referenced
      .hitsOf(reference, [identity].flat(), 0)
      .filter(({ limit }) => limit.block.length > 0);
  }

  /**
   * Removes the counts and blocks of a policy for all identities: of its limits, and of all its plans. A policy whose limits a function
   * returns is cleared of those given: `{ policy: 'api', limits: '3/hour' }`. Visits all keys of the store. Other processes may refuse for
   * up to two seconds more.
   *
   * @throws ConfigurationError unless exactly one policy matches; StorageError if the store lists no keys, as Memcached, or fails
   */
  clearPolicy(reference: PolicyReference): Awaitable<void> {
    return chain(this.storage.removeLimits(this.referenced.allLimitsOf(reference)), () =>
      announceReturn(this.storage, undefined),
    );
  }

  /**
   * Replaces the networks of the options `allow` and `deny` in this process, from the next request on. A list that is left out
   * stays; `[]` is an empty list. A shared list holds instead of that of the process.
   *
   * @throws ConfigurationError for a value that is not a network; both lists then stay unchanged
   * @example
   * ```ts
   * import type { RateLimiterService } from 'nestjs-limits';
   *
   * function refuse(limiter: RateLimiterService, networks: readonly string[]) {
   *   limiter.setNetworks({ deny: networks });
   * }
   * ```
   */
  setNetworks(networks: RateLimitNetworks): void;
  /** Replaces shared lists in the store, as {@link setRules} does with rules. A list that is left out stays. */
  setNetworks(networks: RateLimitNetworks, change: SharedChange): Promise<SharedSettings>;
  setNetworks(networks: RateLimitNetworks, change?: SharedChange): void | Promise<SharedSettings> {
    if (change !== undefined) return this.shared.setNetworks(networks, change);
    this.shared.setOwnNetworks(networks);
  }

  protected override hitsOf(
    limits: LimitInput | PolicyReference,
    identifiers: readonly string[],
    cost: number,
  ): Awaitable<Hit[]> {
    if (isReference(limits)) return this.referenced.hitsOf(limits, identifiers, cost);
    if (this.#found !== undefined)
      throw new ConfigurationError(
        `The ${this.#found} of RateLimitModule is found for each request. By hand, name a policy: { policy, ${this.#found} }.`,
      );
    return this.#items.hitsOf(limits, identifiers, cost);
  }
}

/** Returns a duration in ms. Throws if none of the limits blocks, or not for as long. */
function givenDuration(
  cells: readonly Hit[],
  { policy }: PolicyReference,
  text?: string,
): number | undefined {
  if (cells.length === 0)
    throw new ConfigurationError(
      `The policy "${policy}" blocks nobody. Give it the option block, such as '15 minutes'.`,
    );
  if (text === undefined) return undefined;
  const duration = parseDuration(text);
  const longest = Math.max(...cells.flatMap(({ limit }) => limit.block));
  if (duration > longest)
    throw new RangeError(
      `The policy "${policy}" blocks for ${describeDuration(longest)} at most; got ${describeValue(text)}.`,
    );
  return duration;
}

function isReference(limits: LimitInput | PolicyReference): limits is PolicyReference {
  return typeof limits === 'object' && limits !== null && 'policy' in limits;
}
