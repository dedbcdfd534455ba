import type { Quota, StrategyName } from '../../lib/strategies/strategy.js';
import { windowByDefinition } from './calendar-model.js';

/** A hit that was admitted, with its current cost. */
export interface ModelHit {
  readonly at: number;
  cost: number;
  /** Where it is counted; `undefined` if it has reserved nothing yet. */
  window: ModelWindow | undefined;
}

/** A window that really opened. It is closed early when it becomes empty. */
interface ModelWindow {
  start: number;
  end: number;
  closed: boolean;
  readonly hits: Set<ModelHit>;
}

/**
 * The units used under one strategy, by brute force: keeps every hit, and counts them all at each
 * look.
 */
export interface SettlementModel {
  used(now: number): number;
  take(cost: number, now: number): ModelHit;
  refuse(now: number): void;
  settle(hit: ModelHit, actual: number, now: number): void;
}

type Windowed = Exclude<StrategyName, 'moving-window' | 'token-bucket'>;

/** Creates the model of a strategy. A token bucket has bounds instead (see the property test). */
export function settlementModel(name: Exclude<StrategyName, 'token-bucket'>, quota: Quota): SettlementModel {
  return name === 'moving-window' ? new LogModel(quota) : new WindowModel(name, quota);
}

/** Every hit by its time. Hits of the last period count. */
class LogModel implements SettlementModel {
  readonly #hits: ModelHit[] = [];

  constructor(private readonly quota: Quota) {}

  used(now: number): number {
    return sum(this.#hits.filter(({ at }) => at > now - this.quota.period));
  }

  take(cost: number, now: number): ModelHit {
    const hit: ModelHit = { at: now, cost, window: undefined };
    this.#hits.push(hit);
    return hit;
  }

  refuse(): void {}

  settle(hit: ModelHit, actual: number, now: number): void {
    if (hit.at > now - this.quota.period) hit.cost = actual;
  }
}

/** Every window that opened, with its hits. */
class WindowModel implements SettlementModel {
  readonly #windows: ModelWindow[] = [];

  constructor(
    private readonly name: Windowed,
    private readonly quota: Quota,
  ) {}

  used(now: number): number {
    const open = this.#open(now) ?? this.#next(now);
    if (open === undefined) return 0;
    const { period } = this.quota;
    const before = this.name === 'sliding-window-counter' ? this.#before(open) : undefined;
    const weighed = before && (BigInt(sum(before.hits)) * BigInt(open.end - now)) / BigInt(period);
    return Number(weighed ?? 0) + sum(open.hits);
  }

  take(cost: number, now: number): ModelHit {
    this.#advance(now);
    const hit: ModelHit = { at: now, cost: 0, window: undefined };
    if (cost > 0) this.#charge(hit, cost, now);
    return hit;
  }

  refuse(now: number): void {
    this.#advance(now);
    this.#extend(this.#open(now), now, 1);
  }

  settle(hit: ModelHit, actual: number, now: number): void {
    this.#advance(now);
    const { window } = hit;
    if (window !== undefined && this.#lastUse(window, hit) <= now) return;
    if (window !== undefined && this.#isKept(window, now)) {
      this.#extend(window, hit.at, actual - hit.cost);
      hit.cost = actual;
      this.#dropEmpty(now);
    } else if (actual > hit.cost) {
      window?.hits.delete(hit);
      this.#charge(hit, actual, now);
    }
  }

  /**
   * Returns when a window stops counting. For an elastic window that became empty, a receipt has
   * only the end that its own hit set.
   */
  #lastUse({ end, closed }: ModelWindow, { at }: ModelHit): number {
    const { period } = this.quota;
    if (this.name === 'fixed-window-elastic-expiry' && closed) return at + period;
    return this.name === 'sliding-window-counter' ? end + period : end;
  }

  /**
   * Returns true if a window still counts. A sliding window that has ended counts while it is not
   * empty or precedes the open one.
   */
  #isKept(window: ModelWindow, now: number): boolean {
    const open = this.#open(now);
    if (this.name === 'sliding-window-counter' && window.start + this.quota.period === open?.start) {
      window.closed = false;
      return true;
    }
    if (window.closed) return false;
    return open === window || (this.name === 'sliding-window-counter' && sum(window.hits) > 0);
  }

  #charge(hit: ModelHit, cost: number, now: number): void {
    let open = this.#open(now);
    const last = this.#windows.at(-1);
    if (open === undefined && last?.start === now) {
      open = last; // emptied and opened again within one ms, so its name is the same
      open.closed = false;
    }
    if (open === undefined) {
      open = { start: now, end: this.#endAt(now), closed: false, hits: new Set() };
      this.#windows.push(open);
    }
    hit.cost = cost;
    hit.window = open;
    open.hits.add(hit);
    this.#extend(open, hit.at, cost);
  }

  #endAt(now: number): number {
    const { calendar, period } = this.quota;
    return calendar === undefined ? now + period : windowByDefinition(calendar, now).end;
  }

  /** Moves the end of an elastic window to a full period after a hit with a cost. */
  #extend(open: ModelWindow | undefined, at: number, cost: number): void {
    if (this.name === 'fixed-window-elastic-expiry' && open !== undefined && cost > 0)
      open.end = Math.max(open.end, at + this.quota.period);
  }

  #open(now: number): ModelWindow | undefined {
    const last = this.#windows.at(-1);
    return last !== undefined && !last.closed && now < last.end ? last : undefined;
  }

  /**
   * Returns the window that follows the last one without a gap, as sliding windows do while that
   * one has weight.
   */
  #next(now: number): ModelWindow | undefined {
    const last = this.#windows.at(-1);
    const { period } = this.quota;
    if (this.name !== 'sliding-window-counter' || last === undefined || last.closed) return undefined;
    if (now < last.end || now >= last.end + period || sum(last.hits) === 0) return undefined;
    return { start: last.end, end: last.end + period, closed: false, hits: new Set() };
  }

  #advance(now: number): void {
    const next = this.#next(now);
    if (next !== undefined) this.#windows.push(next);
  }

  #before(window: ModelWindow): ModelWindow | undefined {
    return this.#windows.find(({ start, closed }) => !closed && start === window.start - this.quota.period);
  }

  /** Closes empty windows; a sliding window only together with the previous one. */
  #dropEmpty(now: number): void {
    const open = this.#open(now);
    if (open === undefined || sum(open.hits) > 0) return;
    const before = this.#before(open);
    if (this.name === 'sliding-window-counter' && before !== undefined) {
      if (sum(before.hits) > 0) return;
      before.closed = true;
    }
    open.closed = true;
  }
}

function sum(hits: Iterable<ModelHit>): number {
  let total = 0;
  for (const { cost } of hits) total += cost;
  return total;
}
