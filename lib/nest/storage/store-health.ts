import { Inject, Injectable } from '@nestjs/common';
import type { Hit, OnError } from '../../core/contract.js';
import { createLimit } from '../../core/limit.js';
import type { Storage } from '../../core/storage.js';
import { DEFAULT_TIMEOUT_MS, withTimeout } from '../../common/time.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** A hit that takes nothing, and leaves nothing in the store. */
const NO_UNITS: readonly Hit[] = [
  {
    identity: 'health',
    limit: createLimit({ id: 'health', strategy: 'fixed-window', amount: 1, period: 1000 }),
    cost: 0,
  },
];

/** The state of the store, for health checks. */
@Injectable()
export class StoreHealth {
  /** True while the circuit is open. The store is then not called, here either. */
  #isLost = false;

  constructor(
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  lost(): void {
    this.#isLost = true;
  }

  found(): void {
    this.#isLost = false;
  }

  /** The name of the storage, without credentials. */
  get store(): string {
    return String(this.storage);
  }

  /**
   * The handling of requests while the store does not respond; `undefined` if they fail with its
   * error.
   */
  get onError(): OnError | undefined {
    const { resilience } = this.options;
    return resilience === false ? undefined : resilience.onError;
  }

  /** Returns true if the store checks well, and decides a hit that takes nothing, within the timeout of a decision. Never rejects. */
  async answers(): Promise<boolean> {
    if (this.#isLost) return false;
    const { resilience } = this.options;
    const timeout = resilience === false ? DEFAULT_TIMEOUT_MS : resilience.timeout;
    return withTimeout(timeout, async () => {
      const [isWell] = await Promise.all([this.storage.check(), this.storage.consume(NO_UNITS)]);
      return isWell;
    }).catch(() => false);
  }
}
