import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { createLimit, type BatchResult, type Hit, type Storage } from 'nestjs-limits';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { untilServed } from '../../support/failures.js';
import { until } from '../../support/servers/server-process.js';

/** Units that this process may allow in fallback during an outage. */
const SHARE = 200;
/**
 * Never reached on the server, so that no refusal is cached and every request calls the storage.
 */
const AMOUNT = 1_000_000;
const limit = createLimit({ id: 'outage', strategy: 'fixed-window', amount: AMOUNT, period: 3_600_000 });

/** Timeout of a decision in ms: long enough for a busy machine. */
const DEADLINE = 300;
/** Delay in ms of replies that must miss the deadline. Shorter than the timeout of the storages. */
export const LATE = 800;

interface Answered {
  readonly result: BatchResult;
  /** Number of events before the request began. */
  readonly beganAfter: number;
  /** Number of events before it ended. */
  readonly endedAfter: number;
  /** True if it began before the server was restored. */
  readonly duringFault: boolean;
}

export interface Fault {
  harm(): unknown;
  repair(): unknown;
}

export interface OutageOptions {
  /** Number of probes that begin during the outage. Default: 2, so that one of them has ended. */
  readonly probes?: number;
  /** Number of requests in flight. Default: 20. */
  readonly clients?: number;
  /** True if the server keeps its counts. Default: true. */
  readonly keepsCounts?: boolean;
  /** True if the outage may end before `repair` is called. Default: false. */
  readonly endsByItself?: boolean;
}

let identities = 0;

/**
 * A storage behind a circuit breaker, a denial cache and a fallback, with a record of the circuit's
 * events.
 */
export class LayeredStore {
  readonly events: ('degraded' | 'recovered')[] = [];
  readonly storage: FallbackStorage;
  readonly identity = `user ${identities++}`;
  #probes = 0;
  #calls = 0;

  constructor(readonly store: Storage) {
    this.#countCalls();
    const guarded = new CircuitBreakerStorage(
      store,
      { timeout: DEADLINE, failureThreshold: 5, failureWindow: 10_000, probeInterval: 500 },
      {
        degraded: () => {
          this.events.push('degraded');
        },
        recovered: () => {
          this.events.push('recovered');
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

  /** Returns what the server has counted. */
  async counted(): Promise<number> {
    const { outcomes } = await untilServed(async () => this.store.peek(this.hits()));
    return AMOUNT - (outcomes[0]?.remaining ?? NaN);
  }

  /**
   * Sends requests before, during and after an outage, and expects that each is decided. During the
   * outage the fallback allows its share without calling the server; afterwards the server decides
   * again.
   */
  async expectToSurvive({ harm, repair }: Fault, options: OutageOptions = {}): Promise<void> {
    const { probes = 2, clients = 20, keepsCounts = true, endsByItself = false } = options;
    await this.warmUp();
    const requests = this.#requests(clients);
    await until(() => requests.all.length > clients, 'requests to be answered');
    await harm();
    await until(() => this.events.at(-1) === 'degraded', 'the circuit to open');
    const outage = this.events.length;
    const { calls, probed } = { calls: this.#calls, probed: this.#probes };
    const meanwhile = (): Answered[] => requests.all.filter(({ beganAfter }) => beganAfter === outage);
    await until(
      () => meanwhile().length > SHARE || this.events.length > outage,
      'requests during the outage',
    );
    await until(() => this.#probes >= probed + probes, 'probes');
    if (!endsByItself)
      expect({ events: this.events.length, calls: this.#calls }).toEqual({ events: outage, calls });
    requests.endFault();
    await repair();
    await until(() => this.events.at(-1) === 'recovered', 'the circuit to close');
    const recovery = this.events.length;
    await until(() => countedSince(recovery, requests.all) > 5, 'the server to count again');
    const all = await requests.stop(); // rejects if one of them has

    expectAnswers(all, outage, endsByItself);
    if (keepsCounts) {
      const counts = all.filter(({ result }) => result.degraded === undefined).length;
      expect(await this.counted()).toBeGreaterThanOrEqual(counts);
    }
    await this.#untilCounts();
  }

  /** Calls until the server replies in time: the first calls connect, and load scripts. */
  async warmUp(): Promise<void> {
    await until(() => this.store.check(), 'the store to be well');
    for (let times = 0; times < 5; times++) await this.#untilCounts();
  }

  async #untilCounts(): Promise<void> {
    await until(async () => {
      const { degraded, allowed } = await this.storage.consume(this.hits());
      return degraded === undefined && allowed;
    }, 'the server to count a hit');
  }

  #countCalls(): void {
    const { store } = this;
    const [check, consume] = [store.check.bind(store), store.consume.bind(store)];
    store.check = () => {
      this.#probes++;
      return check();
    };
    store.consume = (batch) => {
      this.#calls++;
      return consume(batch);
    };
  }

  #requests(clients: number): {
    readonly all: readonly Answered[];
    endFault(): void;
    stop(): Promise<readonly Answered[]>;
  } {
    const all: Answered[] = [];
    const load = { stopped: false, duringFault: true };
    const done = Promise.all(
      Array.from({ length: clients }, async () => {
        while (!load.stopped) {
          const { duringFault } = load;
          const beganAfter = this.events.length;
          const result = await this.storage.consume(this.hits());
          all.push({ result, beganAfter, endedAfter: this.events.length, duringFault });
          await sleep(2);
        }
      }),
    );
    done.catch(() => undefined); // `stop` reports it
    return {
      all,
      endFault: () => {
        load.duringFault = false;
      },
      stop: async () => {
        load.stopped = true;
        await done;
        return all;
      },
    };
  }
}

/** @param outage number of events that had been reported when the outage began */
function expectAnswers(all: readonly Answered[], outage: number, endsByItself: boolean): void {
  const inFlight = all.filter(
    ({ beganAfter, result }) => beganAfter === outage - 1 && result.degraded !== undefined,
  );
  expect(inFlight.length).toBeGreaterThanOrEqual(5);

  const meanwhile = all.filter(({ beganAfter, duringFault }) => beganAfter === outage && duringFault);
  expect(new Set(meanwhile.map(({ result }) => result.degraded))).toEqual(new Set(['fallback']));

  const allowed = all.filter(
    ({ result, endedAfter }) =>
      result.degraded === 'fallback' && result.allowed && outage - 1 <= endedAfter && endedAfter <= outage,
  );
  if (endsByItself) expect(allowed.length).toBeLessThanOrEqual(SHARE);
  else expect(allowed).toHaveLength(SHARE);
}

function countedSince(event: number, all: readonly Answered[]): number {
  return all.filter(({ beganAfter, result }) => beganAfter >= event && result.degraded === undefined).length;
}
