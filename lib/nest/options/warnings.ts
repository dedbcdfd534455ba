import { Injectable, Logger } from '@nestjs/common';

/** The logger of this library. */
export const logger = new Logger('RateLimit');

/** Writes each warning to the log once per application. */
@Injectable()
export class Warnings {
  readonly #written = new Set<string>();

  /** Returns true if a warning with the key was written. */
  has(key: string): boolean {
    return this.#written.has(key);
  }

  /** Logs a warning, unless one with the same key was logged before. */
  once(key: string, message: string): void {
    if (this.#written.has(key)) return;
    this.#written.add(key);
    logger.warn(message);
  }
}
