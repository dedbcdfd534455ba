import { Inject, Injectable } from '@nestjs/common';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import type { IdentifiedRequest, IdentitySource } from './identity-source.js';

/** Requests without a user that are checked again once they are answered. */
const MAX_LATE_CHECKS = 100;

/** The properties of a policy that decide whether its identity can be trusted. */
interface IdentifiedPolicy {
  readonly where: string;
  readonly phase: 'beforeAuth' | 'afterAuth';
  readonly source: IdentitySource;
}

/** Warns about identities that are unknown, or unverified, at the time they are counted. */
@Injectable()
export class IdentityWarnings {
  #checks = 0;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /** Warns once if a request without a user has one when it is answered: its limit per user was counted too early. */
  watchUser(request: IdentifiedRequest, where: string): void {
    const { context, transport } = request;
    if (transport.onAnswer === undefined || this.#checks >= MAX_LATE_CHECKS || this.#hasUser(request)) return;
    this.#checks++;
    transport.onAnswer(context, () => {
      if (!this.#hasUser(request)) return;
      this.#checks = MAX_LATE_CHECKS;
      this.warnings.once(
        'late user',
        `${where}: the key "user" was looked up before the user was known, so the address was counted instead. Give the limit ` +
          "phase: 'afterAuth', and bind RateLimitGuard after your own guard.",
      );
    });
  }

  /**
   * Warns about policies that count an unverified identity before authentication: each new value has a fresh count, unless the
   * client's address is counted too.
   *
   * @param policies all that apply to one request
   */
  checkUnverified(policies: readonly IdentifiedPolicy[]): void {
    const early = policies.filter(({ phase }) => phase === 'beforeAuth');
    const unverified = early.find(({ source }) => source.isUnverified);
    if (unverified === undefined || early.some(({ source }) => source.types.join() === 'ip')) return;
    const { where, source } = unverified;
    this.warnings.once(
      `unverified ${where}`,
      `${where}: the key "${source.types.join(', ')}" is what a client says, and before authentication each new one ` +
        "has a fresh count. Add a limit by 'ip' beside it, or count it after authentication: phase: 'afterAuth'.",
    );
  }

  #hasUser({ context, transport }: IdentifiedRequest): boolean {
    try {
      const request = transport.requestOf(context);
      const user = request && this.options.user(request);
      return user !== undefined && user !== null && user !== '';
    } catch {
      return false; // resolving the identity reports the error
    }
  }
}
