import { Injectable, Logger } from '@nestjs/common';

/** The log of this library. */
export const logger = new Logger('RateLimit');

/** Writes each warning to the log once per application. */
@Injectable()
export class Warnings {
  readonly #written = new Set<string>();

  /** Whether the warning of a key was written. */
  has(key: string): boolean {
    return this.#written.has(key);
  }

  /** Writes a warning, unless one with the same key was written before. */
  once(key: string, message: string): void {
    if (this.#written.has(key)) return;
    this.#written.add(key);
    logger.warn(message);
  }
}
