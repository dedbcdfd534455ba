import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import {
  bareHit,
  onlyOutcome,
  receiptsOf,
  type BatchResult,
  type Hit,
  type Outcome,
  type Receipt,
} from '../core/contract.js';
import type { Limit } from '../core/limit.js';
import { LateAnswerError } from './circuit-breaker.storage.js';

/**
 * Permits for hits of one identity on one limit. They are taken from the store in one call and used
 * in this process.
 */
export class Lease {
  /** The store's answer, or the promise of it. */
  #answer: Awaitable<BatchResult>;
  /** Unused permits. */
  #left: number;
  #served = 0;
  #answeredAt = 0;
  /** When the permits expire. */
  #until = Infinity;

  /**
   * @param hit the hit that took the permits; its cost is their number
   * @param answer the store's answer to that hit
   * @param begunAt time of the call, by the clock `now`
   * @param now ms of a monotonic clock
   */
  constructor(
    readonly hit: Hit,
    answer: Awaitable<BatchResult>,
    readonly begunAt: number,
    private readonly now: () => number,
  ) {
    this.#left = hit.cost;
    this.#answer = chain(answer, (result) => this.#answered(result));
    if (isPromise(this.#answer)) this.#answer.catch(() => (this.#served = 0));
  }

  get isAnswered(): boolean {
    return !isPromise(this.#answer);
  }

  /** True once the permits have expired, or the call has lasted for a whole period without an answer. */
  get isOver(): boolean {
    return this.now() >= (this.isAnswered ? this.#until : this.begunAt + this.hit.limit.period);
  }

  /** Permits that can be used now. */
  get left(): number {
    return this.now() < this.#until ? this.#left : 0;
  }

  /** Permits used; 0 if the store refused them or failed. */
  get used(): number {
    return this.#served;
  }

  /** Units left in the store besides these permits, as an estimate. */
  get available(): number {
    const { amount, period, burst, strategy } = this.hit.limit;
    if (isPromise(this.#answer)) return burst;
    const { remaining } = onlyOutcome(this.#answer);
    const now = this.now();
    if (isWindow(strategy)) return now < this.#until ? remaining : burst;
    return Math.min(burst, remaining + Math.floor(((now - this.begunAt) * amount) / period));
  }

  /**
   * Uses permits for a hit. There must be enough left.
   *
   * @returns `undefined` if the store refused the lease and the hit alone might be allowed
   */
  serve(hit: Hit): Awaitable<BatchResult | undefined> {
    this.#left -= hit.cost;
    this.#served += hit.cost;
    const left = this.#left;
    const served = chain(this.#answer, (result) => this.#shareOf(result, hit, left));
    return isPromise(served) ? served.catch((error: unknown) => this.#missed(error, hit)) : served;
  }

  /**
   * Ends the lease. Returns the receipts of unused permits once the store has answered, even late.
   */
  async release(): Promise<Receipt[]> {
    const cost = this.left; // expired permits need no refund: their window has ended
    this.#left = 0;
    if (cost === 0) return [];
    return receiptsOf(await this.#answerAtLast()).map((receipt) => ({ ...receipt, cost }));
  }

  async #answerAtLast(): Promise<BatchResult> {
    try {
      return await this.#answer;
    } catch (error) {
      if (error instanceof LateAnswerError) return (await error.answer) as BatchResult;
      throw error;
    }
  }

  /**
   * Sets the expiry of the permits: those of a window expire with it. The time counts from the start
   * of the call, so permits never expire later here than in the store. Those of a bucket stay: a
   * bucket that is in use would lose them for good, since a late refund returns only what has not
   * been refilled.
   */
  #answered(result: BatchResult): BatchResult {
    const { limit, resetTime } = onlyOutcome(result);
    this.#answer = result;
    this.#answeredAt = this.now();
    if (!result.allowed) this.#left = this.#served = 0;
    this.#until = isWindow(limit.strategy) ? this.begunAt + resetTime - result.now : Infinity;
    return result;
  }

  /** Returns the result for one hit of the lease. */
  #shareOf(result: BatchResult, hit: Hit, left: number): BatchResult | undefined {
    if (!result.allowed) return hit.cost === this.hit.cost ? result : undefined;
    const outcome = onlyOutcome(result);
    const now = result.now + Math.floor(this.now() - this.#answeredAt);
    const share: Outcome = {
      ...outcome,
      ...bareHit(hit),
      remaining: outcome.remaining + left,
      resetTime: Math.max(outcome.resetTime, now),
      takenAt: result.now,
    };
    return { allowed: true, now, outcomes: [share] };
  }

  /** Gives a hit its part of a late answer. */
  #missed(error: unknown, hit: Hit): never {
    if (!(error instanceof LateAnswerError)) throw error;
    const share = error.answer.then((answer) => {
      const result = answer as BatchResult;
      return { ...result, outcomes: result.outcomes.map((outcome) => ({ ...outcome, ...bareHit(hit) })) };
    });
    share.catch(() => undefined); // the caller of the hit listens if it matters
    throw new LateAnswerError(error.message, share);
  }
}

/** Returns true for a strategy whose permits expire with the window that they were taken from. */
export function isWindow(strategy: Limit['strategy']): boolean {
  return strategy === 'fixed-window' || strategy === 'calendar-window';
}
