import { BoundedMap } from '../../common/bounded-map.js';

/** Ms until a failed call is reported, unless the circuit opens and the log reports that. */
const REPORT_DELAY_MS = 2000;

/** Maximum kinds of errors, for stores whose messages never repeat. */
const MAX_KINDS = 100;

/** Ms in which only one error of a kind is an event: a store that is down fails every call. */
const EVENT_INTERVAL_MS = 1000;

/** Chooses the errors of a store that are events: of each kind one per second. */
export class ErrorSampler {
  /** The time of the last event of each kind, by `performance.now()`. */
  readonly #last = new BoundedMap<number>(MAX_KINDS);

  /** Returns true if an error is an event. */
  takes(error: Error): boolean {
    const now = performance.now();
    const kind = kindOf(error);
    const last = this.#last.get(kind);
    if (last !== undefined && now - last < EVENT_INTERVAL_MS) return false;
    this.#last.set(kind, now);
    return true;
  }
}

/** Reports each kind of error of a store once, after a delay. */
export class CallFailures {
  readonly #reported = new Set<string>();
  readonly #pending = new Map<string, NodeJS.Timeout>();

  constructor(private readonly report: (error: Error) => void) {}

  /** Reports an error after the delay, unless its kind is already known. */
  add(error: Error): void {
    const kind = kindOf(error);
    if (this.#reported.has(kind) || this.#pending.has(kind)) return;
    if (this.#reported.size + this.#pending.size >= MAX_KINDS) return;
    const timer = setTimeout(() => {
      this.#pending.delete(kind);
      this.#reported.add(kind);
      this.report(error);
    }, REPORT_DELAY_MS);
    this.#pending.set(kind, timer.unref());
  }

  /** Records that an error has been reported elsewhere. */
  skip(error: Error): void {
    const kind = kindOf(error);
    clearTimeout(this.#pending.get(kind));
    this.#pending.delete(kind);
    this.#reported.add(kind);
  }

  /** Drops all pending errors. */
  clear(): void {
    for (const timer of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }
}

/** Returns the kind of an error: its message without numbers and digests. */
function kindOf({ message }: Error): string {
  return message.slice(0, 500).replace(/(?<![g-z])[\da-f]*\d[\da-f]*(?![g-z])/gi, '#');
}
