const MINUTE_MS = 60_000;
/** Spans that a timeline has at most; even. A day has 1,440 minutes. */
const MAX_SPANS = 2048;

/** A stretch of time, and the most events in one of its minutes. */
export interface Peak {
  /** Epoch ms at which the span starts. */
  readonly time: number;
  readonly perMinute: number;
}

/**
 * Counts events per minute, in order of time. Keeps the highest count of each span of minutes. When
 * there are too many spans, they become twice as long, so that memory does not grow with the log.
 */
export class Timeline {
  #peaks: number[] = [];
  /** Minutes per span. */
  #length = 1;
  /** The number of the first minute, since 1970. */
  #first = 0;
  #minute = NaN;
  #count = 0;
  /** The highest count of a minute, and its start in epoch ms; `undefined` if there was no event. */
  highest: Peak | undefined;

  /** Adds a time, in epoch ms, with an event or without one. */
  add(time: number, isEvent: boolean): void {
    const minute = Math.floor(time / MINUTE_MS);
    if (minute !== this.#minute) this.#moveTo(minute);
    if (!isEvent) return;
    this.#count++;
    const index = Math.floor((minute - this.#first) / this.#length);
    this.#peaks[index] = Math.max(this.#peaks[index] ?? 0, this.#count);
    if (this.#count > (this.highest?.perMinute ?? 0))
      this.highest = { time: minute * MINUTE_MS, perMinute: this.#count };
  }

  /** Returns the spans from the first time to the last, all of one length. */
  get peaks(): Peak[] {
    return this.#peaks.map((perMinute, index) => ({
      time: (this.#first + index * this.#length) * MINUTE_MS,
      perMinute,
    }));
  }

  #moveTo(minute: number): void {
    if (this.#peaks.length === 0) this.#first = minute;
    this.#minute = minute;
    this.#count = 0;
    while (minute - this.#first >= MAX_SPANS * this.#length) this.#merge();
    const spans = Math.floor((minute - this.#first) / this.#length) + 1;
    while (this.#peaks.length < spans) this.#peaks.push(0);
  }

  /** Makes the spans twice as long. */
  #merge(): void {
    const peaks = this.#peaks;
    this.#peaks = peaks
      .filter((_, index) => index % 2 === 0)
      .map((peak, index) => Math.max(peak, peaks[2 * index + 1] ?? 0));
    this.#length *= 2;
  }
}
