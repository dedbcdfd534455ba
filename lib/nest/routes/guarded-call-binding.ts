import { Inject, Injectable, UseInterceptors, type NestInterceptor, type Type } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { RateLimitItemConcurrent } from '../../notation/rate-limit-item-concurrent.js';
import type { RateLimitDeclaration } from '../options/rate-limit.options.js';
import { LIMITS_METADATA, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import { recordStream, slotInterceptor } from '../transports/call-slots.js';
import { guardedCallInterceptor } from '../transports/guarded-calls.js';
import { httpTransport } from '../transports/http.transport.js';
import { isRouteHandler, typesOf } from '../transports/transports.js';
import { knownClasses } from './known-classes.js';
import type { RoutePolicy } from './route-policy.js';

/** Metadata key of Nest's `UseInterceptors`, which it does not export. */
const INTERCEPTORS_METADATA = '__interceptors__';

/**
 * Binds interceptors to handlers: {@link slotInterceptor} where limits of concurrent requests may apply, and
 * {@link guardedCallInterceptor} to those of GraphQL, WebSockets, microservices and unknown kinds whose limits may count too early or
 * not at all, so that a warning can tell. Runs while Nest creates the providers, which is before it creates the handlers of any
 * transport.
 */
@Injectable()
export class GuardedCallBinding {
  /** True if rules may limit concurrent requests: some do, a function may return such limits, or shared ones may come. */
  readonly #rulesMayHoldSlots: boolean;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ModulesContainer) modules: ModulesContainer,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {
    this.#rulesMayHoldSlots = options.settings.shared || options.rules.some(mayHoldSlots);
    const scanner = new MetadataScanner();
    for (const target of knownClasses(modules)) {
      const prototype = target.prototype as object;
      for (const name of scanner.getAllMethodNames(prototype)) this.#bind(target, prototype, name);
    }
  }

  /** Warns of a rule that limits concurrent requests where no interceptor sees the handlers. */
  checkRules(rules: readonly { readonly id: string; readonly policies: readonly RoutePolicy[] }[]): void {
    if (this.#rulesMayHoldSlots) return;
    const rule = rules.find(({ policies }) =>
      policies
        .flatMap(({ limits, plans }) => [limits, ...(plans?.values() ?? [])].flat())
        .some(({ strategy }) => strategy === 'concurrency'),
    );
    if (rule === undefined) return;
    this.warnings.once(
      'slots of rules',
      `The rule "${rule.id}" limits concurrent requests, and no rule did when the application was created: its slots are released ` +
        'with the response, even if the handler still runs. Give the module a rule with such a limit, or the option settings: { shared: true }.',
    );
  }

  #bind(target: Type, prototype: object, name: string): void {
    const handler: unknown = Reflect.get(prototype, name);
    if (typeof handler !== 'function') return;
    const types = typesOf(handler);
    const declarations = [
      ...(isRouteHandler(handler) ? this.options.limits : []),
      ...[target, handler].flatMap(
        (one) => (Reflect.getMetadata(LIMITS_METADATA, one) ?? []) as readonly RateLimitDeclaration[],
      ),
    ];
    const isWatched = declarations.some((declaration) => this.#isWatched(declaration));
    if (isWatched && types.join() !== httpTransport.type)
      bindInterceptor(guardedCallInterceptor, prototype, name, handler);
    const isRuled = types.includes(httpTransport.type) && this.#rulesMayHoldSlots;
    if (!isRuled && !declarations.some(mayHoldSlots)) return;
    recordStream(prototype, name, handler);
    bindInterceptor(slotInterceptor, prototype, name, handler);
  }

  /** Whether a limit counts after authentication, or may read the user before it. */
  #isWatched({ phase, plans, key = this.options.key }: RateLimitDeclaration): boolean {
    return phase === 'afterAuth' || plans !== undefined || key !== 'ip';
  }
}

/** Binds an interceptor, once. */
function bindInterceptor(
  interceptor: NestInterceptor,
  prototype: object,
  name: string,
  handler: object,
): void {
  const bound = (Reflect.getMetadata(INTERCEPTORS_METADATA, handler) ?? []) as readonly unknown[];
  if (!bound.includes(interceptor)) UseInterceptors(interceptor)(prototype, name, { value: handler });
}

/** Whether limits count concurrent requests, or a function returns them. Nothing is checked yet, so this may be no declaration at all. */
function mayHoldSlots(declaration: Pick<RateLimitDeclaration, 'limits' | 'plans'> | null): boolean {
  const { limits, plans } = declaration ?? {};
  return [limits, ...Object.values(plans ?? {})].flatMap(limitsIn).some((limit) => {
    if (typeof limit === 'function') return true;
    return typeof limit === 'string' ? /concurrent/i.test(limit) : limit instanceof RateLimitItemConcurrent;
  });
}

/** Returns the limits of a plan, also those of an object `{ limits }`. */
function limitsIn(given: unknown): unknown[] {
  const { limits = given } = (given ?? {}) as { limits?: unknown };
  return [limits].flat();
}
