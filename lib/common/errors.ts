import { quote } from './describe.js';

/** Codes of every error this library throws; each is explained, with its mend, in `docs/errors.md`. */
export type RateLimitErrorCode =
  | 'ERR_RATE_LIMIT_PARSE'
  | 'ERR_RATE_LIMIT_CONFIGURATION'
  | 'ERR_RATE_LIMIT_STORAGE'
  | 'ERR_RATE_LIMIT_CONCURRENT_UPDATE'
  | 'ERR_RATE_LIMIT_RESOLVER'
  | 'ERR_RATE_LIMIT_WAIT';

/** Base of every error this library throws on its own account. A refused request is not one: see `RateLimitExceededException`. */
export abstract class RateLimitError extends Error {
  /** Stable, machine-readable name of the kind of error. */
  abstract readonly code: RateLimitErrorCode;

  /** The name of the class. */
  override get name(): string {
    return this.constructor.name;
  }

  /** Where the documentation explains this error and how to mend it. */
  get help(): string {
    return `docs/errors.md#${this.code.toLowerCase()}`;
  }
}

/** A limit could not be read. Says what was given, where reading stopped (a zero-based index) and what was expected there. */
export class RateLimitParseError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_PARSE';

  constructor(
    /** What was given. */
    readonly input: string,
    /** Where reading stopped: a zero-based index in `input`. */
    readonly position: number,
    /** What would have been right there, for people. */
    readonly expected: string,
  ) {
    super(
      `Cannot read the rate limit ${quote(input)}: expected ${expected} at position ${position}. ` +
        'Write "<amount> per [multiple] <unit>", for example "10/minute" or "5 per 2 hours"; separate several with ";", "," or "|".',
    );
  }
}

/** An option, a decorator or a limit asks for something impossible. A mistake in what is declared stops the start of the application. */
export class ConfigurationError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_CONFIGURATION';
}

/** The store failed or did not answer; `cause` holds the driver's error. */
export class StorageError extends RateLimitError {
  override readonly code: 'ERR_RATE_LIMIT_STORAGE' | 'ERR_RATE_LIMIT_CONCURRENT_UPDATE' =
    'ERR_RATE_LIMIT_STORAGE';
}

/** A compare-and-set storage lost too many races for one key in a row; nothing was counted. */
export class ConcurrentUpdateError extends StorageError {
  override readonly code = 'ERR_RATE_LIMIT_CONCURRENT_UPDATE';
}

/** Whether the store is to blame, as told by whichever copy of this package: a `require`d storage may stand behind an `import`ed module. */
export function isStorageError(error: unknown): error is StorageError {
  const code = codeOf(error);
  return (
    error instanceof StorageError ||
    code === 'ERR_RATE_LIMIT_STORAGE' ||
    code === 'ERR_RATE_LIMIT_CONCURRENT_UPDATE'
  );
}

/** Whether an error is this library's own, of whichever copy of this package. */
export function isRateLimitError(error: unknown): error is RateLimitError {
  const code = codeOf(error);
  return typeof code === 'string' && code.startsWith('ERR_RATE_LIMIT_');
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? (error as { code?: unknown }).code : undefined;
}

/** A function of the application (`key`, `cost`, `skip`, …) threw or returned something unusable; `cause` holds what it threw. */
export class ResolverError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_RESOLVER';
}

/** What was waited for would not have come in time; nothing was taken. */
export class WaitTimeoutError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_WAIT';

  /**
   * @param retryAfter ms until it would have come; `Infinity` when it never would, `undefined` when others wait ahead
   * @param maxWait ms
   */
  constructor(
    /** Ms until it would have come; `Infinity` when it never would, `undefined` when others wait ahead. */
    readonly retryAfter: number | undefined,
    maxWait: number,
  ) {
    super(
      retryAfter === Infinity
        ? 'The cost is more than the limit ever allows, so that no wait would help. Take a smaller cost or a larger burst.'
        : `A rate limit would have kept this waiting for longer than its maxWait of ${maxWait} ms` +
            `${retryAfter === undefined ? ', behind others who wait' : `: another ${retryAfter} ms`}.`,
    );
  }
}
