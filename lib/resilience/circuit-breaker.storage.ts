import type { Awaitable } from '../common/awaitable.js';
import { isStorageError, StorageError } from '../common/errors.js';
import type { BatchResult, Block, Cell, Hit, Refund } from '../core/contract.js';
import type { Storage } from '../core/storage.js';
import { Deadlines } from './deadlines.js';
import { WrappedStorage } from '../core/wrapped.storage.js';

export interface CircuitBreakerStorageOptions {
  /** Ms that a call may take. */
  readonly timeout: number;
  /** So many failures in a row open the circuit. */
  readonly failures: number;
  /** Ms between probes of a store that fails, about. */
  readonly probeInterval: number;
}

/** What is told of calls that fail, when a store begins to fail, and when it is back. */
export interface HealthListener {
  /** A call that reached the store failed, or was not answered in time. */
  failed?(error: StorageError): void;
  degraded(error: StorageError): void;
  recovered(): void;
}

/** No answer in time. The answer may come all the same. */
export class LateAnswerError extends StorageError {
  constructor(
    message: string,
    /** What is answered too late, if anything is. */
    readonly answer: Promise<unknown>,
  ) {
    super(message);
  }
}

/** How many refunds wait for a store that is gone. */
const MAX_OWED = 10_000;

/** Whether calls reach the store. While they do not, probes of our own do. */
type Circuit =
  | { readonly state: 'closed'; failures: number }
  | { readonly state: 'open'; readonly error: StorageError; probe: NodeJS.Timeout };

/**
 * Lets nobody wait for a store that does not answer: every call has a deadline, and after some failures in a row no call
 * reaches the store any more until a probe finds it well. What cannot be answered is a `StorageError`, at once.
 *
 * Source: the circuit breaker of M. Nygard, "Release It!". The half-open state is a probe of our own, so that no request has to be
 * the one that finds out.
 */
export class CircuitBreakerStorage extends WrappedStorage {
  #circuit: Circuit = { state: 'closed', failures: 0 };
  #closed = false;
  /** Receipts to be given back when the store is well again; of too many, the newest. */
  #owed: readonly Refund[] = [];
  readonly #deadlines: Deadlines;

  constructor(
    inner: Storage,
    private readonly options: CircuitBreakerStorageOptions,
    private readonly listener: HealthListener,
  ) {
    super(inner);
    this.#deadlines = new Deadlines(options.timeout);
  }

  override consume(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#call(() => this.inner.consume(batch));
  }

  override peek(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#call(() => this.inner.peek(batch));
  }

  /** While calls do not reach the store, what was consumed is given back once they do. */
  override refund(refunds: readonly Refund[]): Promise<void> {
    const isOwed = refunds.every(({ window }) => window !== 'current');
    if (this.#circuit.state === 'closed' || !isOwed) return this.#call(() => this.inner.refund(refunds));
    this.#owed = [...this.#owed, ...refunds].slice(-MAX_OWED);
    return Promise.resolve();
  }

  override block(blocks: readonly Block[]): Promise<void> {
    return this.#call(() => this.inner.block(blocks));
  }

  override remove(cells: readonly Cell[]): Promise<void> {
    return this.#call(() => this.inner.remove(cells));
  }

  override async close(): Promise<void> {
    this.#closed = true;
    if (this.#circuit.state === 'open') clearTimeout(this.#circuit.probe);
    await this.inner.close();
    this.#deadlines.rest();
  }

  #call<T>(call: () => Awaitable<T>): Promise<T> {
    if (this.#circuit.state === 'open') return Promise.reject(this.#circuit.error);
    return new Promise((resolve, reject) => {
      const answer = promiseOf(call);
      const isInTime = this.#deadlines.begin(() => {
        const error = new LateAnswerError(
          `${this} has not answered within ${this.options.timeout} ms.`,
          answer,
        );
        reject(error);
        this.#failed(error);
      });
      answer.then(
        (value) => {
          if (!isInTime()) return;
          this.#succeeded();
          resolve(value);
        },
        (error: unknown) => {
          if (!isInTime()) return;
          resolve(answer); // rejects with what was thrown, be it no error
          if (isStorageError(error)) this.#failed(error);
          else this.#succeeded(); // the store is well: what was asked of it was wrong
        },
      );
    });
  }

  #succeeded(): void {
    if (this.#circuit.state === 'closed') this.#circuit.failures = 0;
  }

  #failed(error: StorageError): void {
    if (this.#closed) return;
    this.listener.failed?.(error);
    if (error.code === 'ERR_RATE_LIMIT_CONCURRENT_UPDATE')
      this.#succeeded(); // the store is well: others were faster
    else this.#countFailure(error);
  }

  #countFailure(error: StorageError): void {
    if (this.#circuit.state === 'open') return;
    if (++this.#circuit.failures < this.options.failures) return;
    const unasked = new StorageError(`${this} is not asked while it fails: ${error.message}`, {
      cause: error,
    });
    this.#circuit = { state: 'open', error: unasked, probe: this.#probeSoon() };
    this.listener.degraded(error);
    this.inner.reconnect();
  }

  /** At times that differ from process to process, so that a store that comes back is not met by all at once. */
  #probeSoon(): NodeJS.Timeout {
    const { probeInterval } = this.options;
    return setTimeout(() => void this.#probe(), probeInterval * (0.5 + Math.random())).unref();
  }

  async #probe(): Promise<void> {
    const isWell = await this.#isWell();
    if (this.#circuit.state === 'closed' || this.#closed) return;
    if (isWell) {
      this.#circuit = { state: 'closed', failures: 0 };
      this.listener.recovered();
      this.#payBack();
    } else {
      this.inner.reconnect();
      this.#circuit.probe = this.#probeSoon();
    }
  }

  #payBack(): void {
    const owed = this.#owed;
    this.#owed = [];
    if (owed.length > 0) this.refund(owed).catch(() => undefined); // then it counts until it would have ended
  }

  #isWell(): Promise<boolean> {
    return new Promise((resolve) => {
      const isInTime = this.#deadlines.begin(() => resolve(false));
      promiseOf(() => this.inner.check()).then(
        (isWell) => resolve(isInTime() && isWell),
        () => resolve(false),
      );
    });
  }
}

/** What a call answers; what it throws at once is a rejection too. */
async function promiseOf<T>(call: () => Awaitable<T>): Promise<T> {
  return call();
}
