import { Inject, Injectable, Scope, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ConfigurationError } from '../common/errors.js';
import { GlobalRateLimitGuard } from './rate-limit.guard.js';

/**
 * Stops the start where the module would be made anew per request, since its options or its storage are: nobody would make it then,
 * and nothing would be limited. It injects nothing that could be so itself.
 */
@Injectable()
export class ScopeCheck implements OnModuleInit {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  onModuleInit(): void {
    if (this.moduleRef.introspect(GlobalRateLimitGuard).scope !== Scope.REQUEST) return;
    throw new ConfigurationError(
      'RateLimitModule is made once, before any request, but what its options or its storage are made of is request-scoped. Inject ' +
        'singletons into its factory, and let functions such as key, plan, limits and skip read the request from the context they are given.',
    );
  }
}
