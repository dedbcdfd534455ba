import { Inject, Injectable } from '@nestjs/common';
import type { OnError } from '../../core/contract.js';
import type { Storage } from '../../core/storage.js';
import { DEFAULT_TIMEOUT_MS, withTimeout } from '../../common/time.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** How the store is that limits are counted in, for whoever reports it. */
@Injectable()
export class StoreHealth {
  /** While it is, no request asks the store, and neither does whoever asks here. */
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

  /** What the store is, without credentials. */
  get store(): string {
    return String(this.storage);
  }

  /** What becomes of requests while the store does not answer; `undefined` where they fail with its error. */
  get onError(): OnError | undefined {
    const { resilience } = this.options;
    return resilience === false ? undefined : resilience.onError;
  }

  /** Whether the store answers in the time that a decision may take. Never rejects. */
  async answers(): Promise<boolean> {
    if (this.#isLost) return false;
    const { resilience } = this.options;
    const timeout = resilience === false ? DEFAULT_TIMEOUT_MS : resilience.timeout;
    return withTimeout(timeout, async () => this.storage.check()).catch(() => false);
  }
}
