import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import {
  bareHit,
  receiptsOf,
  type BatchResult,
  type Hit,
  type Outcome,
  type Receipt,
} from '../core/contract.js';
import type { Limit } from '../core/limit.js';
import { onlyOutcome } from '../core/storage.js';
import { LateAnswerError } from './circuit-breaker.storage.js';

/** Permits for hits of one identity on one limit, taken from the store in one call to be served here. */
export class Lease {
  /** What the store answers; nothing is sure before. */
  #answer: Awaitable<BatchResult>;
  /** Permits that nobody has. */
  #left: number;
  #served = 0;
  #answeredAt = 0;
  /** When the permits die. */
  #until = Infinity;

  /**
   * @param hit what was taken: as many units as there are permits
   * @param begunAt by the clock `now`, when the store was asked
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

  /** True once the permits are dead, or no answer is to be expected any more. */
  get isOver(): boolean {
    return this.now() >= (this.isAnswered ? this.#until : this.begunAt + this.hit.limit.period);
  }

  /** Permits that can be had now. */
  get left(): number {
    return this.now() < this.#until ? this.#left : 0;
  }

  /** How many were had; none, if the store has refused them or failed. */
  get used(): number {
    return this.#served;
  }

  /** Units that the store has beside these, as far as is known. */
  get available(): number {
    const { amount, period, burst, strategy } = this.hit.limit;
    if (isPromise(this.#answer)) return burst;
    const { remaining } = onlyOutcome(this.#answer);
    const now = this.now();
    if (isWindow(strategy)) return now < this.#until ? remaining : burst;
    return Math.min(burst, remaining + Math.floor(((now - this.begunAt) * amount) / period));
  }

  /**
   * Serves a hit, of which there must be enough left.
   *
   * @returns `undefined` when the store has refused more than this hit
   */
  serve(hit: Hit): Awaitable<BatchResult | undefined> {
    this.#left -= hit.cost;
    this.#served += hit.cost;
    const left = this.#left;
    const served = chain(this.#answer, (result) => this.#shareOf(result, hit, left));
    return isPromise(served) ? served.catch((error: unknown) => this.#missed(error, hit)) : served;
  }

  /** Serves nobody any more; tells what to give back, as soon as the store has answered, be it late. */
  async release(): Promise<Receipt[]> {
    const cost = this.left; // dead permits are worth nothing: their window has ended, or the bucket has refilled them
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
   * Permits of a window die with it, those of a bucket after a period. Times begin when the store was asked: so they never end later
   * here than there.
   */
  #answered(result: BatchResult): BatchResult {
    const { limit, resetTime } = onlyOutcome(result);
    this.#answer = result;
    this.#answeredAt = this.now();
    if (!result.allowed) this.#left = this.#served = 0;
    this.#until = this.begunAt + (isWindow(limit.strategy) ? resetTime - result.now : limit.period);
    return result;
  }

  /** What one hit is told, of which the lease has taken more. */
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

  /** Of an answer that comes late, a hit has its share. */
  #missed(error: unknown, hit: Hit): never {
    if (!(error instanceof LateAnswerError)) throw error;
    const share = error.answer.then((answer) => {
      const result = answer as BatchResult;
      return { ...result, outcomes: result.outcomes.map((outcome) => ({ ...outcome, ...bareHit(hit) })) };
    });
    share.catch(() => undefined); // for whom it matters listens
    throw new LateAnswerError(error.message, share);
  }
}

/** Returns true for a strategy whose permits die with the window that they were taken from. */
export function isWindow(strategy: Limit['strategy']): boolean {
  return strategy === 'fixed-window' || strategy === 'calendar-window';
}
