import { Injectable, Logger } from '@nestjs/common';
import type { IdentifiedRequest } from './identity.js';

/** So many requests without a user are looked at again once they are answered. */
const MOST_LOOKS = 100;

/** Warns once when a limit per user is counted before the application's guard has found the user out. */
@Injectable()
export class LateUserDetector {
  readonly #logger = new Logger('RateLimit');
  #looks = 0;

  /** A request had no user when it was counted. */
  watch({ context, transport }: IdentifiedRequest, where: string): void {
    if (transport.onAnswer === undefined || this.#looks >= MOST_LOOKS) return;
    this.#looks++;
    transport.onAnswer(context, () => {
      const { user } = transport.requestOf(context) ?? {};
      if (user === undefined || user === null || this.#looks > MOST_LOOKS) return;
      this.#looks = MOST_LOOKS + 1;
      this.#logger.warn(
        `${where}: the key "user" was looked up before the user was known, so the address was counted instead. Give the limit ` +
          "phase: 'afterAuth', and bind RateLimitGuard after your own guard.",
      );
    });
  }
}
