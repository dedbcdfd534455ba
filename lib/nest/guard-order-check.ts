import { Inject, Injectable } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { Warnings } from './options/warnings.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { PolicyDirectory } from './routes/policy-directory.js';

/** Warns of global guards that Nest calls after the global `RateLimitGuard`, although they may set the user. */
@Injectable()
export class GuardOrderCheck {
  constructor(
    @Inject(ApplicationConfig) private readonly application: ApplicationConfig,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /** Checks the guards once they are bound and all policies are compiled. */
  check(): void {
    if (this.application.getGlobalRequestGuards().length === 0) return;
    if (!this.application.getGlobalGuards().some((guard) => guard instanceof RateLimitGuard)) return;
    const late = this.directory.policies.find(({ phase }) => phase === 'afterAuth');
    if (late === undefined) return;
    this.warnings.once(
      'guard order',
      `${late.where}: the limit "${late.name}" of the phase 'afterAuth' is counted before a global guard that is request-scoped, since ` +
        'Nest calls such guards last. If that guard sets the user, bind RateLimitGuard request-scoped too, after it: ' +
        '{ provide: APP_GUARD, scope: Scope.REQUEST, useFactory: (guard) => guard, inject: [RateLimitGuard] }.',
    );
  }
}
