import type { BatchResult, Outcome, Receipt } from './contract.js';
import { INSPECT } from '../common/inspection.js';
import { currentReceipt } from './settlement.js';

/**
 * The decision on one hit, for all of its limits. Header fields, errors and events are created from
 * it. `refund` and `settle` take it as the receipt.
 */
export class Decision {
  /** True if every enforced limit allowed the hit. */
  readonly allowed: boolean;
  /** The storage's clock at the decision, in epoch ms. */
  readonly now: number;
  /** One outcome per limit. */
  readonly limits: readonly Outcome[];
  /**
   * How the hit was decided without the store: `'allow'` let it pass uncounted, `'fallback'`
   * counted it in this process. `undefined` if the store decided.
   */
  readonly degraded: BatchResult['degraded'] | undefined;

  /**
   * The route of the request, `'POST /login'`; `undefined` before a request has reached one, in events, and for decisions by hand.
   */
  readonly route: string | undefined;

  /**
   * @internal
   * @param earlier the decision on other limits of the same hit, from an earlier phase
   * @param route the route of the request
   */
  constructor(
    private readonly result: BatchResult,
    private readonly earlier?: Decision,
    route?: string,
  ) {
    this.route = route ?? earlier?.route;
    this.allowed = result.allowed && (earlier?.allowed ?? true);
    this.now = result.now;
    this.degraded = result.degraded ?? earlier?.degraded;
    this.limits = earlier === undefined ? result.outcomes : [...earlier.limits, ...result.outcomes];
  }

  /**
   * The limit that constrains the hit most: the refusing one with the longest `retryAfter`, one with an
   * unknown time last; else the one with the least remaining. A shadow limit only if there is no other.
   */
  get binding(): Outcome {
    return bindingOf(this.limits);
  }

  /** Whole units left under the binding limit. */
  get remaining(): number {
    return this.binding.remaining;
  }

  /**
   * Epoch ms at which the remaining units of the binding limit next grow; now, if nothing is
   * consumed.
   */
  get resetTime(): number {
    return this.binding.resetTime;
  }

  /**
   * Whole ms until the same hit is allowed: 0 if it was, `Infinity` if it never will be, `undefined` if only
   * slots of concurrent requests are missing: no one knows when one is released.
   */
  get retryAfter(): number | undefined {
    return this.allowed ? 0 : this.binding.retryAfter;
  }

  /** The receipts of what the hit counts now. Settlements change them. Slots have none: they are released, not settled. */
  get receipts(): Receipt[] {
    return this.results.flatMap((result) =>
      result.outcomes
        .filter(({ limit }) => limit.strategy !== 'concurrency')
        .flatMap((outcome) => currentReceipt(result, outcome) ?? []),
    );
  }

  /** @internal Shows one line per limit: all properties would show each limit twice. */
  [INSPECT](): string {
    const { retryAfter } = this;
    const wait = retryAfter === undefined ? 'a slot is released' : `${retryAfter} ms`;
    const verdict = this.allowed ? 'allowed' : `refused, retry after ${wait}`;
    const place = this.route === undefined ? '' : ` on ${this.route}`;
    const limits = this.limits.map((outcome) => `\n  ${describeOutcome(outcome)}`);
    return `Decision: ${verdict}${place}${this.degraded ? ` (${this.degraded})` : ''}${limits.join('')}`;
  }

  /** @internal The results of all phases, the earliest first. */
  get results(): readonly BatchResult[] {
    return [...(this.earlier?.results ?? []), this.result];
  }
}

/** Returns true for a decision, also one from another copy of this package. */
export function isDecision(value: unknown): value is Decision {
  return typeof value === 'object' && value !== null && 'binding' in value && 'receipts' in value;
}

function describeOutcome({ limit, identity, allowed, remaining }: Outcome): string {
  const { name, mode, strategy, amount, period, where } = limit;
  const quota = strategy === 'concurrency' ? `${amount} concurrent` : `${amount} per ${period} ms`;
  const verdict = `${mode === 'shadow' ? 'shadow, ' : ''}${allowed ? 'allows' : 'refuses'}`;
  return `${name}: ${quota} for ${identity}, ${remaining} left, ${verdict}${where === undefined ? '' : ` (${where})`}`;
}

/**
 * Returns the outcome that constrains a hit most: the refusing one with the longest `retryAfter`,
 * else the one with the least remaining. One in shadow only if there is no other.
 *
 * @param outcomes at least one
 */
export function bindingOf(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((binding, outcome) => (binds(outcome, binding) ? outcome : binding));
}

function binds(outcome: Outcome, binding: Outcome): boolean {
  const weight = weightOf(outcome);
  if (weight !== weightOf(binding)) return weight > weightOf(binding);
  return weight === REFUSES
    ? (outcome.retryAfter ?? -1) > (binding.retryAfter ?? -1)
    : outcome.remaining < binding.remaining;
}

const [SHADOW, ALLOWS, REFUSES] = [0, 1, 2];

function weightOf({ allowed, limit }: Outcome): number {
  if (limit.mode === 'shadow') return SHADOW;
  return allowed ? ALLOWS : REFUSES;
}
