import type { Awaitable } from '../../common/awaitable.js';
import type { Decision } from '../../core/decision.js';
import type { PolicyReference } from '../routes/route-policy.js';

/** The methods of `RateLimiterService` that the console uses. */
export interface ConsoleLimiter {
  peek(reference: PolicyReference, identity: readonly string[]): Awaitable<Decision>;
  clear(reference: PolicyReference, identity: readonly string[]): Awaitable<void>;
  block(reference: PolicyReference, identity: readonly string[], duration?: string): Awaitable<void>;
  unblock(reference: PolicyReference, identity: readonly string[]): Awaitable<void>;
}
