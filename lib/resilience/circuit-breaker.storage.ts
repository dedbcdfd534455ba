import type { Awaitable } from '../common/awaitable.js';
import { Deadlines } from '../common/deadlines.js';
import { isStorageError, StorageError } from '../common/errors.js';
import type { BatchResult, Block, Cell, Hit, Settlement } from '../core/contract.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { FailureWindow } from './failure-window.js';
import { OwedSettlements } from './owed-settlements.js';

export interface CircuitBreakerStorageOptions {
  /** Timeout of a call in ms. */
  readonly timeout: number;
  /** Failures within the window after which the store is probed. */
  readonly failureThreshold: number;
  /** Length of that window in ms. */
  readonly failureWindow: number;
  /** Mean time between probes of a failing store, in ms. */
  readonly probeInterval: number;
}

/** The operations of a store. */
export type StoreOperation = 'consume' | 'peek' | 'settle' | 'block' | 'remove';

/** The end of a call: the store answered, did not answer in time, or failed. */
export type CallResult = 'ok' | 'timeout' | 'error';

/** Receives the calls, their failures, and the state changes of the circuit. */
export interface HealthListener {
  /**
   * Called when a call that reached the store has ended.
   *
   * @param start when it began, by `performance.now()`
   */
  called?(operation: StoreOperation, start: number, result: CallResult): void;
  /** Called when a call that reached the store failed or timed out. */
  failed?(error: StorageError): void;
  /** Called when the circuit opens. */
  degraded(error: StorageError): void;
  /** Called when the circuit closes. */
  recovered(): void;
}

/** A call timed out. Its answer may still arrive. */
export class LateAnswerError extends StorageError {
  constructor(
    message: string,
    /** Settles with the late answer if one arrives. */
    readonly answer: Promise<unknown>,
  ) {
    super(message);
  }
}

/** A closed circuit passes calls to the store. An open one passes none until a probe succeeds. */
type Circuit =
  | { readonly state: 'closed'; probing: boolean }
  | { readonly state: 'open'; readonly error: StorageError; probe: NodeJS.Timeout };

/**
 * Applies a timeout to every call, and stops calling a store that is down. When too many calls fail
 * within a window, it probes the store, and opens the circuit only if the probe fails. So timeouts
 * of one busy identity cannot open the circuit while the store works. An open circuit rejects every
 * call immediately, and probes the store until a probe succeeds.
 *
 * Source: the circuit breaker of M. Nygard, "Release It!". Probes replace the half-open state, so
 * that no request is used as the test.
 */
export class CircuitBreakerStorage extends WrappedStorage {
  #circuit: Circuit = { state: 'closed', probing: false };
  #closed = false;
  readonly #failures: FailureWindow;
  readonly #owed = new OwedSettlements();
  readonly #deadlines: Deadlines;

  constructor(
    inner: Storage,
    private readonly options: CircuitBreakerStorageOptions,
    private readonly listener: HealthListener,
  ) {
    super(inner);
    this.#deadlines = new Deadlines(options.timeout);
    this.#failures = new FailureWindow(options.failureThreshold, options.failureWindow);
  }

  /** True while the store is not called because it fails; false once this is closed. */
  get isOpen(): boolean {
    return this.#circuit.state === 'open' && !this.#closed;
  }

  override consume(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#call('consume', () => this.inner.consume(batch));
  }

  override peek(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#call('peek', () => this.inner.peek(batch));
  }

  /** Stores settlements with a receipt until the circuit closes, if it is open. */
  override settle(settlements: readonly Settlement[]): Promise<BatchResult> {
    if (this.#circuit.state === 'open' && settlements.every(({ window }) => window !== 'current'))
      return Promise.resolve(this.#owed.add(settlements, this.clock.now()));
    return this.#call('settle', () => this.inner.settle(settlements));
  }

  override block(blocks: readonly Block[]): Promise<void> {
    return this.#call('block', () => this.inner.block(blocks));
  }

  override remove(cells: readonly Cell[]): Promise<void> {
    return this.#call('remove', () => this.inner.remove(cells));
  }

  override async close(): Promise<void> {
    this.#closed = true;
    if (this.#circuit.state === 'open') clearTimeout(this.#circuit.probe);
    await this.inner.close();
    this.#deadlines.rest();
  }

  #call<T>(operation: StoreOperation, call: () => Awaitable<T>): Promise<T> {
    if (this.#circuit.state === 'open') return Promise.reject(this.#circuit.error);
    const start = performance.now();
    return new Promise((resolve, reject) => {
      const answer = promiseOf(call);
      const isInTime = this.#deadlines.begin(() => {
        const error = new LateAnswerError(
          `${this} has not answered within ${this.options.timeout} ms.`,
          answer,
        );
        reject(error);
        this.listener.called?.(operation, start, 'timeout');
        this.#failed(error);
      });
      answer.then(
        (value) => {
          if (!isInTime()) return;
          this.#failures.succeed();
          resolve(value);
          this.listener.called?.(operation, start, 'ok');
        },
        (error: unknown) => {
          if (!isInTime()) return;
          resolve(answer); // rejects with the original reason, which need not be an Error
          this.listener.called?.(operation, start, 'error');
          if (isStorageError(error)) this.#failed(error);
          else this.#failures.succeed();
        },
      );
    });
  }

  #failed(error: StorageError): void {
    if (this.#closed) return;
    this.listener.failed?.(error);
    // A lost race does not mean that the store is down.
    if (error.code === 'ERR_RATE_LIMIT_CONCURRENT_UPDATE' || this.#circuit.state === 'open') return;
    if (this.#failures.add(performance.now()) && !this.#circuit.probing) void this.#probeClosed(error);
  }

  /** Probes a store that still receives calls. Opens the circuit if the probe fails. */
  async #probeClosed(cause: StorageError): Promise<void> {
    this.#circuit = { state: 'closed', probing: true };
    const isWell = await this.#isWell();
    this.#failures.clear();
    if (this.#closed) return;
    if (isWell) {
      this.#circuit = { state: 'closed', probing: false };
      return;
    }
    const error = new StorageError(`${this} is not called while it fails: ${cause.message}`, { cause });
    this.#circuit = { state: 'open', error, probe: this.#scheduleProbe() };
    this.listener.degraded(cause);
    this.inner.reconnect();
  }

  /**
   * Schedules a probe with jitter, so that many processes do not call a recovering store together.
   */
  #scheduleProbe(): NodeJS.Timeout {
    const { probeInterval } = this.options;
    return setTimeout(() => void this.#probeOpen(), probeInterval * (0.5 + Math.random())).unref();
  }

  async #probeOpen(): Promise<void> {
    const isWell = await this.#isWell();
    if (this.#circuit.state === 'closed' || this.#closed) return;
    if (isWell) {
      this.#circuit = { state: 'closed', probing: false };
      this.listener.recovered();
      this.#owed.settleAll((settlements) => this.settle(settlements));
    } else {
      this.inner.reconnect();
      this.#circuit.probe = this.#scheduleProbe();
    }
  }

  #isWell(): Promise<boolean> {
    return this.#deadlines.bound(promiseOf(() => this.inner.check())).catch(() => false);
  }
}

/** Converts a synchronous throw to a rejection. */
async function promiseOf<T>(call: () => Awaitable<T>): Promise<T> {
  return call();
}
