import { Inject, Injectable, Scope, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ConfigurationError } from '../../common/errors.js';
import { DECIDING_STORAGE } from './rate-limit.tokens.js';

/**
 * Stops the start if the options or the storage depend on a request-scoped provider: Nest would then create the module's providers
 * for each request, and never the global guard. Injects nothing that could be request-scoped itself.
 */
@Injectable()
export class ScopeCheck implements OnModuleInit {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  onModuleInit(): void {
    if (this.moduleRef.introspect(DECIDING_STORAGE).scope !== Scope.REQUEST) return;
    throw new ConfigurationError(
      'RateLimitModule is created once, before any request, but its options or its storage depend on a request-scoped provider. Inject ' +
        'singletons into its factory, and let functions such as key, plan, limits and skip read the request from the context they are given.',
    );
  }
}
