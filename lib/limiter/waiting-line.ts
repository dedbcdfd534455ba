import { startTimer } from '../common/time.js';
import type { Hit } from '../core/contract.js';
import { clockOf, type Storage } from '../core/storage.js';

/** Callers that wait for one limit and identity. */
export class Line {
  readonly places = new Set<Place>();
  /** The costs of all callers. */
  units = 0;
  /** The earliest time at which the first caller may be allowed. */
  opensAt = -Infinity;
  /** True while the first caller asks: any units up to the burst may be left then, not just its cost. */
  isAsking = true;

  /** @param hit names the cell and the limit */
  constructor(readonly hit: Hit) {}

  get size(): number {
    return this.places.size;
  }

  get first(): Place | undefined {
    const [first] = this.places;
    return first;
  }

  /** Records when the first caller may be allowed. */
  expect(time: number): void {
    this.opensAt = time;
    this.isAsking = false;
  }

  /** Records that the first caller asks now. */
  ask(now: number): void {
    this.opensAt = now;
    this.isAsking = true;
  }

  add(place: Place): void {
    this.places.add(place);
    this.units += place.hit.cost;
  }

  remove(place: Place): void {
    this.places.delete(place);
    this.units -= place.hit.cost;
  }
}

/** The place of a caller in a line. */
export class Place {
  constructor(
    readonly line: Line,
    readonly hit: Hit,
    readonly caller: Caller,
    readonly leave: () => void,
  ) {}

  get isFirst(): boolean {
    return this.line.first === this;
  }
}

/** A caller that can be woken. */
export class Caller {
  /** True if it was woken since its last attempt. */
  isWoken = false;
  #end: (() => void) | undefined;

  wake(): void {
    this.isWoken = true;
    this.#end?.();
  }

  /** Resolves once the caller is woken, after a number of ms by the storage's clock, or once the signal is aborted. */
  async pause(storage: Storage, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.isWoken || signal?.aborted === true) return;
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    const end = (): void => this.#end?.();
    const clear = startTimer(clockOf(storage), milliseconds, end);
    signal?.addEventListener('abort', end);
    await ended;
    clear();
    signal?.removeEventListener('abort', end);
  }
}
