import { Inject, Injectable, Logger } from '@nestjs/common';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { IdentifiedRequest } from './identity-source.js';

/** So many requests without a user are looked at again once they are answered. */
const MAX_LOOKS = 100;

/** Warns once when a limit per user is counted before the application's guard has found the user out. */
@Injectable()
export class LateUserDetector {
  readonly #logger = new Logger('RateLimit');
  #looks = 0;

  constructor(@Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions) {}

  /** A request is counted by its user, if it has one. */
  watch(request: IdentifiedRequest, where: string): void {
    const { context, transport } = request;
    if (transport.onAnswer === undefined || this.#looks >= MAX_LOOKS || this.#hasUser(request)) return;
    this.#looks++;
    transport.onAnswer(context, () => {
      if (this.#looks > MAX_LOOKS || !this.#hasUser(request)) return;
      this.#looks = MAX_LOOKS + 1;
      this.#logger.warn(
        `${where}: the key "user" was looked up before the user was known, so the address was counted instead. Give the limit ` +
          "phase: 'afterAuth', and bind RateLimitGuard after your own guard.",
      );
    });
  }

  #hasUser({ context, transport }: IdentifiedRequest): boolean {
    try {
      const request = transport.requestOf(context);
      const user = request && this.options.user(request);
      return user !== undefined && user !== null && user !== '';
    } catch {
      return false; // the identity tells of it
    }
  }
}
