import { Inject, Injectable, UseInterceptors, type Type } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import type { RateLimitDeclaration } from '../options/rate-limit.options.js';
import { GUARDED_METADATA, LIMITS_METADATA, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { guardedCallInterceptor } from '../transports/guarded-calls.js';
import { httpTransport } from '../transports/http.transport.js';
import { isRouteHandler, typesOf } from '../transports/transports.js';
import { knownClasses } from './known-classes.js';

/**
 * Binds {@link guardedCallInterceptor} to the handlers of GraphQL, WebSockets, microservices and unknown kinds whose limits may
 * count too early or not at all, so that a warning can tell. Runs while Nest creates the providers, which is before it creates
 * the handlers of any transport.
 */
@Injectable()
export class GuardedCallBinding {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    const scanner = new MetadataScanner();
    for (const target of knownClasses(modules)) {
      const prototype = target.prototype as object;
      for (const name of scanner.getAllMethodNames(prototype)) this.#bind(target, prototype, name);
    }
  }

  #bind(target: Type, prototype: object, name: string): void {
    const handler: unknown = Reflect.get(prototype, name);
    if (typeof handler !== 'function' || Reflect.hasMetadata(GUARDED_METADATA, handler)) return;
    if (typesOf(handler).join() === httpTransport.type) return;
    const declarations = [
      ...(isRouteHandler(handler) ? this.options.limits : []),
      ...[target, handler].flatMap(
        (one) => (Reflect.getMetadata(LIMITS_METADATA, one) ?? []) as readonly RateLimitDeclaration[],
      ),
    ];
    if (!declarations.some((declaration) => this.#isWatched(declaration))) return;
    Reflect.defineMetadata(GUARDED_METADATA, true, handler);
    UseInterceptors(guardedCallInterceptor)(prototype, name, { value: handler });
  }

  /** Whether a limit counts after authentication, or may read the user before it. */
  #isWatched({ phase, plans, key = this.options.key }: RateLimitDeclaration): boolean {
    return phase === 'afterAuth' || plans !== undefined || key !== 'ip';
  }
}
