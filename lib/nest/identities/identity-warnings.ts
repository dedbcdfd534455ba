import { Inject, Injectable } from '@nestjs/common';
import { Warnings } from '../options/warnings.js';
import type { IdentitySource } from './identity-source.js';

/** The properties of a policy that decide whether its identity can be trusted. */
interface IdentifiedPolicy {
  readonly where: string;
  readonly phase: 'beforeAuth' | 'afterAuth';
  readonly source: IdentitySource;
}

/** Warns about identities that clients assert and that are not verified when they are counted. */
@Injectable()
export class IdentityWarnings {
  constructor(@Inject(Warnings) private readonly warnings: Warnings) {}

  /**
   * Warns about policies that count an unverified identity before authentication. Each new value
   * has a fresh count, unless the client's address is counted too.
   *
   * @param policies all policies of one request
   */
  checkUnverified(policies: readonly IdentifiedPolicy[]): void {
    const early = policies.filter(({ phase }) => phase === 'beforeAuth');
    const unverified = early.find(({ source }) => source.isUnverified);
    if (unverified === undefined || early.some(({ source }) => source.types.join() === 'ip')) return;
    const { where, source } = unverified;
    this.warnings.once(
      `unverified ${where}`,
      `${where}: the key "${source.types.join(', ')}" is not verified, and before authentication each new value ` +
        "has a fresh count. Also add a limit by 'ip', or count it after authentication: phase: 'afterAuth'.",
    );
  }
}
