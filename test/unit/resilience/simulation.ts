import { jest } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  createLimit,
  MemoryStorage,
  StorageError,
  type Awaitable,
  type BatchResult,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type OnError,
  type Settlement,
} from 'nestjs-limits';
import { WrappedStorage } from '../../../lib/core/wrapped.storage.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** Timeout of a decision in ms: the default. */
export const TIMEOUT = 50;

/** Stops the time of timers, `performance` and `Date`. {@link pass} advances it. */
export function stopTime(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'], now: 1_700_000_000_000 });
}

/** Advances the time in steps, and runs everything that is due. */
export async function pass(ms: number, step = 1): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    jest.advanceTimersByTime(step);
    await nextTurn();
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** The behaviour of a call of the store: ms until the answer, or an error. */
export type Script = (call: 'decide' | 'check', identity: string) => number | 'error';

/**
 * A store that all processes share. It decides when it responds, like a server behind a slow
 * network.
 */
export class SimulatedStore extends WrappedStorage {
  checks = 0;
  settled = 0;
  /** The behaviour of calls from now on. Default: an immediate answer. */
  script: Script = () => 0;

  constructor() {
    super(new MemoryStorage());
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.#answer('decide', batch[0]?.identity, () => this.inner.consume(batch));
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    this.settled += settlements.length;
    return this.#answer('decide', settlements[0]?.identity, () => this.inner.settle(settlements));
  }

  override check(): Awaitable<boolean> {
    this.checks++;
    return this.#answer('check', '', () => true);
  }

  async #answer<T>(call: 'decide' | 'check', identity = '', act: () => Awaitable<T>): Promise<T> {
    const wait = this.script(call, identity);
    if (wait === 'error') throw new StorageError('no power');
    if (wait > 0) await sleep(wait);
    return act();
  }

  /** The units counted under a limit. */
  counted(limit: Limit, identity: string): number {
    const { outcomes } = this.inner.peek([{ identity, limit, cost: 0 }]) as BatchResult;
    return limit.burst - (outcomes[0]?.remaining ?? NaN);
  }
}

/** The result of a request. */
export interface Answered {
  readonly identity: string;
  readonly allowed: boolean;
  /** How the request was decided without the store; `undefined` if the store decided. */
  readonly degraded: BatchResult['degraded'];
  /** Duration of the request in ms. */
  readonly took: number;
}

/** One process of an application, with the resilience layers. */
export class SimulatedProcess {
  readonly events: ('degraded' | 'recovered')[] = [];
  readonly answered: Answered[] = [];
  readonly #storage: FallbackStorage;
  readonly #guarded: CircuitBreakerStorage;
  #stopped = false;

  constructor(
    store: SimulatedStore,
    private readonly limit: Limit,
    { onError = 'fallback', instances = 1 }: { onError?: OnError; instances?: number } = {},
  ) {
    this.#guarded = new CircuitBreakerStorage(
      store,
      { timeout: TIMEOUT, failureThreshold: 5, failureWindow: 10 * SECOND, probeInterval: 500 },
      {
        degraded: () => this.events.push('degraded'),
        recovered: () => this.events.push('recovered'),
      },
    );
    this.#storage = new FallbackStorage(this.#guarded, { onError, instances });
  }

  async request(identity: string): Promise<Answered> {
    const begin = performance.now();
    const { allowed, degraded } = await this.#storage.consume([{ identity, limit: this.limit, cost: 1 }]);
    const answered = { identity, allowed, degraded, took: performance.now() - begin };
    this.answered.push(answered);
    return answered;
  }

  /**
   * Sends requests of one client over some connections, each after the previous one and a pause.
   */
  send(identity: string, connections: number, pause: number): void {
    const connection = async (): Promise<void> => {
      while (!this.#stopped) {
        await this.request(identity);
        await sleep(pause);
      }
    };
    for (let number = 0; number < connections; number++) void connection();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await pass(TIMEOUT + SECOND, 10);
    await this.#guarded.close();
  }

  admitted(by?: 'store' | 'process'): number {
    return this.answered.filter(
      ({ allowed, degraded }) =>
        allowed && (by === undefined || (by === 'store') === (degraded === undefined)),
    ).length;
  }
}

export function limitOf(amount: number, period: number, options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'limited', strategy: 'fixed-window', amount, period, ...options });
}
