import { SecondSeries } from '../../observability/second-series.js';
import { SpaceSaving } from '../../observability/space-saving.js';
import type { Limit } from '../../core/limit.js';
import { describeLimit } from './describe-limit.js';
import type { Counts, LimitRefusals, SeriesView } from './console-messages.js';

/** Identities that are counted per policy. */
const MAX_IDENTITIES = 1000;

/** Limits that are counted per policy; a function may return any number of others. */
const MAX_LIMITS = 50;

/** Counts requests since the start, and those of each second of ten minutes. */
export class RequestCounter {
  requests = 0;
  refused = 0;
  shadow = 0;
  /** The last decision that was counted, refused, and refused in shadow. Of several limits, one counts. */
  lastCounted = 0;
  lastRefused = 0;
  lastShadow = 0;
  readonly #sampled = { requests: 0, refused: 0, shadow: 0 };
  readonly #series = {
    requests: new SecondSeries(),
    refused: new SecondSeries(),
    shadow: new SecondSeries(),
  };

  /** Ends a second; returns its counts. */
  sample(second: number): Counts {
    const { requests, refused, shadow } = this;
    const counts = {
      requests: requests - this.#sampled.requests,
      refused: refused - this.#sampled.refused,
      shadow: shadow - this.#sampled.shadow,
    };
    Object.assign(this.#sampled, { requests, refused, shadow });
    this.#set(second, counts);
    return counts;
  }

  /** Ends a second without requests. */
  skip(second: number): void {
    this.#set(second, { requests: 0, refused: 0, shadow: 0 });
  }

  series(second: number): SeriesView {
    const { requests, refused, shadow } = this.#series;
    return { requests: requests.until(second), refused: refused.until(second), shadow: shadow.until(second) };
  }

  /** True if there were requests in the last ten minutes. */
  get isActive(): boolean {
    return this.#series.requests.sum > 0;
  }

  #set(second: number, { requests, refused, shadow }: Counts): void {
    this.#series.requests.set(second, requests);
    this.#series.refused.set(second, refused);
    this.#series.shadow.set(second, shadow);
  }
}

/** The counts of a policy since the start. */
export class PolicyCounter extends RequestCounter {
  readonly identities = new SpaceSaving(MAX_IDENTITIES);
  readonly #limits = new Map<string, LimitCounter>();

  constructor(
    readonly id: number,
    readonly name: string,
    readonly where: string | undefined,
  ) {
    super();
  }

  /** The limits that have decided requests, and their refusals. */
  get limits(): LimitRefusals[] {
    return [...this.#limits.values()].map(({ name, text, mode, refusals }) => ({
      name,
      text,
      mode,
      refusals,
    }));
  }

  /** Returns the counter of a limit; of the further ones of a function, a common one. */
  counterOf({ name, mode, ...limit }: Limit): LimitCounter {
    const text = describeLimit(limit);
    const key = this.#limits.size < MAX_LIMITS ? `${name} ${mode} ${text}` : 'others';
    let counter = this.#limits.get(key);
    if (counter === undefined) {
      counter = new LimitCounter(this, name, key === 'others' ? 'other limits' : text, mode);
      this.#limits.set(key, counter);
    }
    return counter;
  }
}

/** The refusals of a limit since the start. */
export class LimitCounter {
  refusals = 0;

  constructor(
    readonly policy: PolicyCounter,
    readonly name: string,
    readonly text: string,
    readonly mode: Limit['mode'],
  ) {}
}
