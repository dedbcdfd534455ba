import { receiptsOf, type BatchResult, type Outcome, type Receipt } from './contract.js';

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
  /**
   * What decided instead of a store that did not answer: `'allow'`, nothing, so that the hit passed uncounted; `'fallback'`,
   * a count of this process alone. `undefined` where the store decided.
   */
  readonly degraded: BatchResult['degraded'] | undefined;

  /** @param earlier what was decided of other limits of the same hit before */
  constructor(
    private readonly result: BatchResult,
    private readonly earlier?: Decision,
  ) {
    this.allowed = result.allowed && (earlier?.allowed ?? true);
    this.now = result.now;
    this.degraded = result.degraded ?? earlier?.degraded;
    this.limits = earlier === undefined ? result.outcomes : [...earlier.limits, ...result.outcomes];
  }

  /**
   * The limit that matters most: of those that refuse the one with the longest `retryAfter`, else the one with the least
   * remaining; a limit in shadow only if there is no other.
   */
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
    return [...(this.earlier?.receipts ?? []), ...receiptsOf(this.result)];
  }
}

/** Whether a value is a decision, made by whichever copy of this package. */
export function isDecision(value: unknown): value is Decision {
  return typeof value === 'object' && value !== null && 'binding' in value && 'receipts' in value;
}

function binds(outcome: Outcome, binding: Outcome): boolean {
  const weight = weightOf(outcome);
  if (weight !== weightOf(binding)) return weight > weightOf(binding);
  return weight === REFUSES ? outcome.retryAfter > binding.retryAfter : outcome.remaining < binding.remaining;
}

const [SHADOW, ALLOWS, REFUSES] = [0, 1, 2];

function weightOf({ allowed, limit }: Outcome): number {
  if (limit.mode === 'shadow') return SHADOW;
  return allowed ? ALLOWS : REFUSES;
}
