import { quote } from './describe.js';
import { INSPECT } from './inspection.js';

/** Codes of all errors of this library; `help` names the page that explains each and its fix. */
export type RateLimitErrorCode =
  | 'ERR_RATE_LIMIT_PARSE'
  | 'ERR_RATE_LIMIT_CONFIGURATION'
  | 'ERR_RATE_LIMIT_STORAGE'
  | 'ERR_RATE_LIMIT_CONCURRENT_UPDATE'
  | 'ERR_RATE_LIMIT_RESOLVER'
  | 'ERR_RATE_LIMIT_WAIT';

/** The page in `docs` that explains an error. */
const PAGES: Record<RateLimitErrorCode, string> = {
  ERR_RATE_LIMIT_PARSE: 'configuration-errors',
  ERR_RATE_LIMIT_CONFIGURATION: 'configuration-errors',
  ERR_RATE_LIMIT_STORAGE: 'errors',
  ERR_RATE_LIMIT_CONCURRENT_UPDATE: 'errors',
  ERR_RATE_LIMIT_RESOLVER: 'errors',
  ERR_RATE_LIMIT_WAIT: 'errors',
};

/** Base class of the errors of this library. A refused request is a `RateLimitExceededException` instead. */
export abstract class RateLimitError extends Error {
  /** Stable, machine-readable kind of the error. */
  abstract readonly code: RateLimitErrorCode;

  /** The name of the class. */
  override get name(): string {
    return this.constructor.name;
  }

  /** The section of the documentation that explains this error and its fix. */
  get help(): string {
    return `docs/${PAGES[this.code]}.md#${this.code.toLowerCase()}`;
  }
}

/**
 * A limit could not be parsed. Carries the input, the zero-based position at which parsing stopped,
 * and what was expected there.
 */
export class RateLimitParseError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_PARSE';

  constructor(
    /** The text that was parsed. */
    readonly input: string,
    /** Zero-based index in `input` at which parsing stopped. */
    readonly position: number,
    /** A description of the expected text. */
    readonly expected: string,
  ) {
    super(
      `Cannot read the rate limit ${quote(input)}: expected ${expected} at position ${position}. ` +
        'Write "<amount> per [multiple] <unit>", for example "10/minute" or "5 per 2 hours", or "5 concurrent"; separate several with ";", "," or "|".',
    );
  }
}

/** An option, a decorator or a limit is invalid. An invalid declaration stops the start of the application. */
export class ConfigurationError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_CONFIGURATION';
}

/** The store failed or did not answer in time; `cause` holds the driver's error. */
export class StorageError extends RateLimitError {
  override readonly code: 'ERR_RATE_LIMIT_STORAGE' | 'ERR_RATE_LIMIT_CONCURRENT_UPDATE' =
    'ERR_RATE_LIMIT_STORAGE';
}

/** A compare-and-set storage lost too many consecutive races for one key; nothing was counted. */
export class ConcurrentUpdateError extends StorageError {
  override readonly code = 'ERR_RATE_LIMIT_CONCURRENT_UPDATE';
}

/** Returns true for a storage error, also one from another copy of this package (CommonJS next to ES modules). */
export function isStorageError(error: unknown): error is StorageError {
  const code = codeOf(error);
  return (
    error instanceof StorageError ||
    code === 'ERR_RATE_LIMIT_STORAGE' ||
    code === 'ERR_RATE_LIMIT_CONCURRENT_UPDATE'
  );
}

/** Returns true for an error of this library, also one from another copy of this package. */
export function isRateLimitError(error: unknown): error is RateLimitError {
  const code = codeOf(error);
  return typeof code === 'string' && code.startsWith('ERR_RATE_LIMIT_');
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? (error as { code?: unknown }).code : undefined;
}

/**
 * A function of the application (`key`, `cost`, `skip`, …) threw or returned an invalid value;
 * `cause` holds what it threw.
 */
export class ResolverError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_RESOLVER';

  /** Its stack has only the line of the function that failed, since many requests may log it. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    const { stack = '' } = options?.cause instanceof Error ? options.cause : {};
    const frame = /\n {4}at .*/.exec(stack)?.[0] ?? '';
    Object.defineProperty(this, 'stack', {
      value: `${this.name}: ${message}${frame}`,
      configurable: true,
      writable: true,
    });
  }

  /** @internal Shows the stack without the cause's. */
  [INSPECT](): string {
    return String(this.stack);
  }
}

/** The wait would have exceeded `maxWait`, or the line was full; nothing was taken. */
export class WaitTimeoutError extends RateLimitError {
  override readonly code = 'ERR_RATE_LIMIT_WAIT';

  constructor(
    message: string,
    /** Ms until the hit would be allowed; `Infinity` if never, `undefined` if unknown because others are ahead. */
    readonly retryAfter: number | undefined,
  ) {
    super(message);
  }
}
