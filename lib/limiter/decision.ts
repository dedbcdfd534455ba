import { receiptsOf, type BatchResult, type Outcome, type Receipt } from '../storages/contract.js';

/**
 * What was decided of one hit, of all its limits at once. Header fields, errors and events are made from it, and it is the
 * receipt to refund.
 */
export class Decision {
  /** Whether every enforced limit allowed the hit. */
  readonly allowed: boolean;
  /** The reading of the storage's clock that decided, in epoch ms. */
  readonly now: number;
  /** One outcome per limit. */
  readonly limits: readonly Outcome[];

  constructor(result: BatchResult) {
    this.allowed = result.allowed;
    this.now = result.now;
    this.limits = result.outcomes;
  }

  /** The limit that matters most: of the refused ones the one with the longest `retryAfter`, else the one with the least remaining. */
  get binding(): Outcome {
    return this.limits.reduce((binding, outcome) => (binds(outcome, binding) ? outcome : binding));
  }

  /** Whole units left under the binding limit. */
  get remaining(): number {
    return this.binding.remaining;
  }

  /** Epoch ms at which the binding limit's remaining units grow next; now, if nothing is consumed. */
  get resetTime(): number {
    return this.binding.resetTime;
  }

  /** Whole ms after which the same hit would be allowed: 0 if it was, `Infinity` if it never would be. */
  get retryAfter(): number {
    return this.allowed ? 0 : this.binding.retryAfter;
  }

  /** Proof of what was consumed. */
  get receipts(): Receipt[] {
    return receiptsOf({ allowed: this.allowed, now: this.now, outcomes: this.limits });
  }
}

function binds(outcome: Outcome, binding: Outcome): boolean {
  const refuses = isRefused(outcome);
  if (refuses !== isRefused(binding)) return refuses;
  return refuses ? outcome.retryAfter > binding.retryAfter : outcome.remaining < binding.remaining;
}

function isRefused({ allowed, limit }: Outcome): boolean {
  return !allowed && limit.mode === 'enforce';
}
