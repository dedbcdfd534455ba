import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { createLimit, type BatchResult, type Hit, type Storage } from 'nestjs-limits';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { until } from '../../support/servers/server-process.js';

/** What this process may let through alone. */
export const SHARE = 200;
/** Never reached on the server, so that no refusal is remembered and every request asks it. */
const AMOUNT = 1_000_000;
const limit = createLimit({ id: 'outage', strategy: 'fixed-window', amount: AMOUNT, period: 3_600_000 });

/** How soon limits are enforced in full again, in ms from the server's return. */
const RECOVERY = 2000;

/** What a machine that does other things, too, may take longer than it should. */
const NOISE = 3;

interface Timed {
  readonly result: BatchResult;
  /** By `performance.now()`. */
  readonly begin: number;
  readonly elapsed: number;
}

export interface Fault {
  harm(): unknown;
  mend(): unknown;
}

export interface OutageOptions {
  /** Ms that the outage lasts at least: time for a probe by default. */
  readonly lasts?: number;
  /** How many requests are in flight. */
  readonly clients?: number;
  /** Whether the server still knows afterwards what it had counted. */
  readonly remembers?: boolean;
}

let identities = 0;

/**
 * A store behind all the layers that stand before a remote one, and what they tell. Jest fails every test in which a rejection
 * goes unhandled, so that nobody has to listen for them.
 */
export class LayeredStore {
  readonly told: string[] = [];
  /** Why the store was given up, each time. */
  readonly reasons: string[] = [];
  readonly storage: FallbackStorage;
  readonly identity = `somebody ${identities++}`;
  #degradedAt = NaN;
  #recoveredAt = NaN;

  /** @param deadline ms that a decision may take */
  constructor(
    readonly store: Storage,
    readonly deadline = 50,
  ) {
    const guarded = new CircuitBreakerStorage(
      store,
      { timeout: deadline, failures: 5, probeInterval: 500 },
      {
        degraded: (error) => {
          this.reasons.push(error.message);
          this.told.push('degraded');
          this.#degradedAt = performance.now();
        },
        recovered: () => {
          this.storage.recover();
          this.told.push('recovered');
          this.#recoveredAt = performance.now();
        },
      },
    );
    this.storage = new FallbackStorage(new DenialCacheStorage(guarded), {
      onError: 'fallback',
      instances: AMOUNT / SHARE,
    });
  }

  hits(): Hit[] {
    return [{ identity: this.identity, limit, cost: 1 }];
  }

  /** What the server has counted. */
  async counted(): Promise<number> {
    const { outcomes } = await this.store.peek(this.hits());
    return AMOUNT - (outcomes[0]?.remaining ?? NaN);
  }

  async untilRecovered(within: number): Promise<void> {
    await until(() => this.told.at(-1) === 'recovered', 'limits to be enforced again', within);
  }

  /**
   * Expects requests that never stop coming to notice an outage as little as they may: while the server is away, each is answered
   * in time by this process, which lets its share through; soon after, by the server again.
   */
  async expectToSurvive(
    { harm, mend }: Fault,
    { lasts = 700, clients = 20, remembers = true }: OutageOptions = {},
  ): Promise<void> {
    await this.warmUp();
    const requests = this.#requests(clients);
    await sleep(50);
    await harm();
    await until(() => this.told.length > 0, 'the outage to be noticed', 5000);
    await sleep(lasts);
    expect(this.told).toEqual(['degraded']);
    const mendingFrom = performance.now();
    await mend();
    const mended = performance.now();
    await this.untilRecovered(10_000);
    await sleep(200);
    await until(() => this.#countedAgain(requests.all).length > 5, 'the server to count again', 5000);
    const all = await requests.stop(); // none of them has failed

    expect({ told: this.told, reasons: this.reasons }).toEqual({
      told: ['degraded', 'recovered'],
      reasons: [expect.any(String)],
    });
    expect(this.#recoveredAt - mended).toBeLessThan(RECOVERY);
    this.#expectAnswers(all, mendingFrom);
    if (remembers) {
      const counts = all.filter(({ result }) => result.degraded === undefined).length;
      expect(await this.counted()).toBeGreaterThanOrEqual(counts);
    }
    const isCounted = async (): Promise<boolean> => {
      const { degraded, allowed } = await this.storage.consume(this.hits());
      return degraded === undefined && allowed;
    };
    await until(isCounted, 'the server to count on', RECOVERY);
  }

  /** What comes first takes longest, and would be an outage already: connecting, and whatever the server has to learn. */
  async warmUp(): Promise<void> {
    await until(() => this.store.check(), 'the store to be well');
    for (let times = 0; times < 5; times++) await this.store.consume(this.hits());
    expect((await this.storage.consume(this.hits())).degraded).toBeUndefined();
  }

  #expectAnswers(all: readonly Timed[], mendingFrom: number): void {
    const inFlight = all.filter(
      ({ begin, result }) => begin < this.#degradedAt && result.degraded !== undefined,
    );
    expect(inFlight.length).toBeGreaterThanOrEqual(5);
    expect(quantile(inFlight, 0.99)).toBeLessThan(NOISE * this.deadline);

    const meanwhile = all.filter(({ begin }) => begin > this.#degradedAt && begin < mendingFrom);
    expect(meanwhile.length).toBeGreaterThan(SHARE);
    expect(new Set(meanwhile.map(({ result }) => result.degraded))).toEqual(new Set(['fallback']));
    expect(quantile(meanwhile, 0.5)).toBeLessThan(1);

    const alone = all.filter(
      ({ result, begin, elapsed }) =>
        result.degraded === 'fallback' && result.allowed && begin + elapsed <= this.#recoveredAt,
    );
    expect(alone).toHaveLength(SHARE);

    // Whatever else this machine does may make one of them too late, but not many.
    const afterwards = all.filter(({ begin }) => begin > this.#recoveredAt);
    expect(this.#countedAgain(all).length).toBeGreaterThan(0.75 * afterwards.length);
  }

  #countedAgain(all: readonly Timed[]): Timed[] {
    return all.filter(({ begin, result }) => begin > this.#recoveredAt && result.degraded === undefined);
  }

  #requests(clients: number): { readonly all: readonly Timed[]; stop(): Promise<readonly Timed[]> } {
    const all: Timed[] = [];
    const load = { stopped: false };
    const done = Promise.all(
      Array.from({ length: clients }, async () => {
        while (!load.stopped) {
          const begin = performance.now();
          const result = await this.storage.consume(this.hits());
          all.push({ result, begin, elapsed: performance.now() - begin });
          await sleep(2);
        }
      }),
    );
    done.catch(() => undefined); // who stops it hears of it
    return {
      all,
      stop: async () => {
        load.stopped = true;
        await done;
        return all;
      },
    };
  }
}

function quantile(all: readonly Timed[], share: number): number {
  const sorted = all.map(({ elapsed }) => elapsed).sort((one, other) => one - other);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
}
