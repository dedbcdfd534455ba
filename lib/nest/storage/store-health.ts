import { Inject, Injectable } from '@nestjs/common';
import type { OnError } from '../../core/contract.js';
import type { Storage } from '../../core/storage.js';
import { DEFAULT_TIMEOUT_MS, withTimeout } from '../../common/time.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

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

  /** Returns true if the store responds within the timeout of a decision. Never rejects. */
  async answers(): Promise<boolean> {
    if (this.#isLost) return false;
    const { resilience } = this.options;
    const timeout = resilience === false ? DEFAULT_TIMEOUT_MS : resilience.timeout;
    return withTimeout(timeout, async () => this.storage.check()).catch(() => false);
  }
}
