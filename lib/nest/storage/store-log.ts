import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { chain } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import type { StorageError } from '../../common/errors.js';
import { FixedWindowRateLimiter } from '../../limiter/rate-limiters.js';
import type { OnError } from '../../core/contract.js';
import { MemoryStorage } from '../../storages/memory/memory.storage.js';
import type { Storage } from '../../core/storage.js';
import { CallFailures } from './call-failures.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import { logger } from '../options/warnings.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** Rate of log lines about losses, since a flapping store would fill the log. */
const LINES = '1 per 10 seconds';

const MEANWHILE: Readonly<Record<OnError, string>> = {
  allow: 'requests are let through',
  fallback: 'this process counts alone',
  deny: 'requests fail',
};

/** How a call is decided that fails while the store is in use. */
const INSTEAD: Readonly<Record<OnError, string>> = {
  allow: 'the request is let through',
  fallback: 'this process counts alone',
  deny: 'the request fails',
};

/**
 * Logs when the store is lost and when it is back, at a limited rate. Also logs each kind of error
 * of single calls once, while the store is in use.
 */
@Injectable()
export class StoreLog implements OnApplicationShutdown {
  readonly #lines = new FixedWindowRateLimiter(new MemoryStorage());
  /** True if the last line logged a loss. */
  #isTold = false;
  /** Losses without a line since the last one. */
  #leftOut = 0;
  #later: NodeJS.Timeout | undefined;
  readonly #failures = new CallFailures((error) => this.#tellOfFailure(error));

  constructor(
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** Logs that the application starts although the store is not ready. */
  notReady(error: unknown): void {
    logger.warn(`${messageOf(error)} The application starts without it.`);
    if (error instanceof Error && error.cause instanceof Error) this.#failures.skip(error.cause);
  }

  /** Logs a failed call, once per kind of error, unless the store is lost with it. */
  failed(error: StorageError): void {
    this.#failures.add(error);
  }

  /** Logs a loss as soon as the rate allows, unless the store is back by then. */
  lost(error: StorageError): void {
    this.#failures.clear();
    void chain(this.#lines.consume(LINES, 'lost'), ({ allowed, retryAfter }) => {
      if (allowed) this.#tell(error);
      else this.#later = setTimeout(() => this.lost(error), retryAfter).unref();
    });
  }

  found(): void {
    clearTimeout(this.#later);
    if (this.#isTold) logger.log(`${this.storage} is back.`);
    else this.#leftOut++;
    this.#isTold = false;
  }

  onApplicationShutdown(): void {
    clearTimeout(this.#later);
    this.#failures.clear();
  }

  #tellOfFailure(error: Error): void {
    const { resilience } = this.options;
    if (resilience === false) return;
    const instead = INSTEAD[resilience.onError];
    logger.warn(
      `${sentenceOf(error)} When a single call fails, ${instead}. This kind of failure is logged once, an outage each time.`,
    );
  }

  #tell(error: StorageError): void {
    const { resilience } = this.options;
    if (resilience === false) return;
    this.#failures.skip(error);
    const sentence = sentenceOf(error);
    const others = this.#leftOut === 0 ? '' : ` Losses left out since the last such line: ${this.#leftOut}.`;
    logger.warn(`${sentence} Until it is back, ${MEANWHILE[resilience.onError]}.${others}`);
    this.#isTold = true;
    this.#leftOut = 0;
  }
}

function sentenceOf({ message }: Error): string {
  return message.endsWith('.') ? message : `${message}.`;
}
