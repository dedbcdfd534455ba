import type { Decision } from '../core/decision.js';
import type { HeldSlots } from './held-slots.js';

/**
 * The answer to {@link Limiter.acquire}: a slot that is held until it is released, or a refusal.
 *
 * @example
 * ```ts
 * import { FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
 *
 * const limiter = new FixedWindowRateLimiter(new MemoryStorage());
 * const slot = await limiter.acquire('5 concurrent', ['exports', '42']);
 * try {
 *   if (!slot.allowed) throw new Error('Five exports are running.');
 * } finally {
 *   await slot.release();
 * }
 * ```
 */
export class Slot implements AsyncDisposable {
  readonly #held: HeldSlots | undefined;

  /** @internal */
  constructor(
    /** The decision on all limits. */
    readonly decision: Decision,
    held: HeldSlots | undefined,
  ) {
    this.#held = held;
  }

  /** True if every limit allowed the work, which holds its slots then. */
  get allowed(): boolean {
    return this.decision.allowed;
  }

  /** Releases what is held; nothing after the first call or a refusal. Never rejects: a slot that the store does not release is free after the hold. */
  release(): Promise<void> {
    return Promise.resolve(this.#held?.release());
  }

  /** Releases what is held, at the end of the block of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
