import { describeValue } from '../common/describe.js';
import { ConfigurationError, isStorageError } from '../common/errors.js';
import { assertCost, type Hit, type Outcome } from '../core/contract.js';
import { Decision } from '../core/decision.js';
import { startStopwatch, type Storage } from '../core/storage.js';
import { settleDecision } from './settle-decision.js';

/** Options of a meter. */
export interface MeterOptions {
  /** Units that the meter takes in one call of the store; a whole number from 1. */
  step: number;
}

/** Units that were taken in one call of the store. */
interface TakenStep {
  readonly decision: Decision;
  readonly cost: number;
  /** Units that are not used yet. */
  left: number;
  /** Returns true once the window that counts the units has ended. */
  readonly isOver: () => boolean;
}

/**
 * Takes units of limits for work whose cost becomes known while it runs, such as the tokens of a
 * stream or the bytes of a download. Created by `limiter.meter`.
 *
 * It takes units in steps, so that most calls of `add` need no call of the store. `await using`, or
 * `end()`, refunds the unused units of the last step. A process that crashes loses less than one
 * step per meter.
 */
export class Meter {
  /** The oldest first. */
  #steps: TakenStep[] = [];
  #used = 0;
  #decision: Decision | undefined;
  /** Units that the store had left besides those of the steps, as far as is known. */
  #left = Infinity;
  /** Settles once all earlier calls are done: they run one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #end: Promise<void> | undefined;

  /** @internal */
  constructor(
    private readonly storage: Storage,
    private readonly batch: readonly Hit[],
    private readonly step: number,
  ) {
    if (!Number.isSafeInteger(step) || step < 1)
      throw new RangeError(
        `The step of a meter must be a whole number, at least 1; got ${describeValue(step)}.`,
      );
  }

  /** Units used so far. */
  get used(): number {
    return this.#used;
  }

  /**
   * The decision on the units that were last taken or refused; `undefined` before the first one. Its
   * `remaining` leaves out the unused part of the step; its `retryAfter` is for the units that
   * were missing.
   */
  get decision(): Decision | undefined {
    return this.#decision;
  }

  /**
   * Uses units, before they are delivered. Returns false if they are not available, and then takes
   * none of them; fewer may be available. Concurrent calls are served in order.
   *
   * @param units a whole number from 0
   * @throws RangeError for any other number; ConfigurationError once the meter has ended;
   * StorageError if the store fails and `onError` is `'deny'`
   */
  async add(units: number): Promise<boolean> {
    assertCost(units);
    if (this.#end !== undefined)
      throw new ConfigurationError('The meter has ended. Open another one: limiter.meter(…).');
    return this.#inTurn(() => this.#add(units));
  }

  /**
   * Refunds the unused units, once all calls of `add` are done. Idempotent. If the store fails,
   * they stay counted.
   */
  end(): Promise<void> {
    this.#end ??= this.#inTurn(() => this.#giveBack(this.#steps.splice(0)));
    return this.#end;
  }

  /** Calls {@link end}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(call);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #add(units: number): Promise<boolean> {
    let latest: TakenStep | undefined;
    for (;;) {
      // While the store is called, the window of earlier units may end.
      await this.#dropEnded(latest);
      const missing = units - this.#steps.reduce((sum, { left }) => sum + left, 0);
      if (missing <= 0) break;
      latest = await this.#take(missing);
      if (latest === undefined) return false;
      this.#steps.push(latest);
    }
    const usedUp = this.#use(units);
    // Settled to its cost, a hit on a limit that blocks and counts by outcome is known to count.
    if (this.batch.some(({ limit }) => limit.refundable && limit.block.length > 0))
      await this.#giveBack(usedUp);
    return true;
  }

  /** Uses the units of the oldest steps first. Returns the steps that are used up. */
  #use(units: number): readonly TakenStep[] {
    this.#used += units;
    for (const step of this.#steps) {
      const part = Math.min(step.left, units);
      step.left -= part;
      units -= part;
    }
    const rest = this.#steps.findIndex(({ left }) => left > 0);
    return this.#steps.splice(0, rest < 0 ? this.#steps.length : rest);
  }

  /**
   * Takes a step: as many units as are left, at least the missing ones. If a limit blocks after a
   * refusal, takes the missing units alone, so that no step is refused that the work did not need. A limit in shadow takes the steps
   * that it would take if it were enforced.
   */
  async #take(missing: number): Promise<TakenStep | undefined> {
    const isWhole = this.batch.every(({ limit }) => limit.block.length === 0);
    let cost = isWhole ? Math.max(missing, Math.min(this.step, this.#left)) : missing;
    for (;;) {
      const elapsed = startStopwatch(this.storage);
      const result = await this.storage.consume(this.batch.map((hit) => ({ ...hit, cost })));
      const decision = new Decision(result);
      this.#decision = decision;
      const refusing = decision.limits.filter((outcome) => refusesStep(outcome, missing));
      this.#left = remainingUnder(decision, missing);
      if (cost === missing ? decision.allowed : refusing.length === 0) {
        const taken = decision.limits.filter((outcome) => outcome.taken);
        const lifetime = Math.min(...taken.map((outcome) => lifetimeOf(outcome, decision.now)));
        // Units that were allowed uncounted are not kept: the store may be back for the next ones.
        return {
          decision,
          cost,
          left: taken.length > 0 ? cost : missing,
          isOver: () => elapsed() >= lifetime,
        };
      }
      if (cost === missing) return undefined;
      if (decision.allowed) await this.#giveBack([{ decision, cost, left: cost }]); // refused in shadow only
      cost = this.#left > missing && this.#left < cost ? this.#left : missing;
    }
  }

  /** @param latest the step that was taken for this call, whose units are used immediately */
  async #dropEnded(latest: TakenStep | undefined): Promise<void> {
    const ended = this.#steps.filter((step) => step !== latest && step.isOver());
    if (ended.length === 0) return;
    this.#steps = this.#steps.filter((step) => !ended.includes(step));
    this.#left = Infinity;
    await this.#giveBack(ended);
  }

  /** Settles steps to what was used of them. */
  async #giveBack(steps: readonly Omit<TakenStep, 'isOver'>[]): Promise<void> {
    for (const { decision, cost, left } of steps) {
      try {
        await settleDecision(this.storage, decision, () => cost - left);
      } catch (error) {
        if (!isStorageError(error)) throw error; // the units stay counted
      }
    }
  }
}

/** Returns true for a limit that refuses a step. One in shadow that would refuse the missing units too refuses no step for that. */
function refusesStep({ allowed, limit, remaining }: Outcome, missing: number): boolean {
  return !allowed && (limit.mode === 'enforce' || remaining >= missing);
}

/** Returns the units that every enforced limit has left, and every limit in shadow that has the missing units. */
function remainingUnder({ limits }: Decision, missing: number): number {
  const binding = limits.filter(
    ({ limit, allowed, remaining }) => limit.mode === 'enforce' || allowed || remaining >= missing,
  );
  return Math.min(...binding.map(({ remaining }) => remaining));
}

/** Returns the ms for which units count that were just taken. A bucket has then refilled wholly. */
function lifetimeOf({ limit, resetTime, window }: Outcome, now: number): number {
  const { strategy, amount, burst, period } = limit;
  switch (strategy) {
    case 'fixed-window':
    case 'fixed-window-elastic-expiry':
    case 'calendar-window':
      return resetTime - now;
    case 'sliding-window-counter':
      return (window ?? now) + period - now;
    case 'moving-window':
      return period;
    case 'concurrency':
      return 0; // `limiter.meter` refuses slots
    case 'token-bucket':
      return Math.ceil((burst * period) / amount);
  }
}
