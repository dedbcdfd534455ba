import { Inject, Injectable, type OnApplicationBootstrap, type Type } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { ConfigurationError } from '../../common/errors.js';
import type { DecoratedMethod } from '../options/declaration.js';
import {
  CONNECTION_METADATA,
  LIMITS_METADATA,
  METHODS_METADATA,
  SKIP_METADATA,
} from '../options/rate-limit.tokens.js';
import { Warnings } from '../options/warnings.js';
import { isRouteHandler } from '../transports/transports.js';
import { isGateway } from '../transports/ws.transport.js';
import { knownClasses } from './known-classes.js';

/** Metadata of methods that makes none of them a handler: this library's, and that of Nest's enhancers. */
const NOT_OF_HANDLERS = /^(nestjs-limits:|design:|__(guards|interceptors|pipes|exceptionFilters)__$)/;

/**
 * Checks when the application starts that each decorated method is the handler that its declaration counts. A decorator that
 * replaces a method drops the metadata of those below it, and an override in a derived class inherits none.
 */
@Injectable()
export class DeclarationCheck implements OnApplicationBootstrap {
  readonly #scanner = new MetadataScanner();

  constructor(
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /** @throws ConfigurationError naming the method whose declaration another decorator has dropped */
  onApplicationBootstrap(): void {
    for (const target of knownClasses(this.modules)) {
      for (const prototype of prototypesOf(target))
        for (const method of methodsOf(prototype)) this.#check(target, prototype, method);
      this.#checkClass(target);
    }
  }

  #check(target: Type, prototype: object, { property, handler }: DecoratedMethod): void {
    const where = `${namesOf(handler)} on ${prototype.constructor.name}.${String(property)}`;
    const own = methodIn(prototype, property);
    const used = methodIn(target.prototype as object, property);
    if (!isKept(handler, own)) this.#reportLost(where, target, handler, own);
    else if (used !== own) this.#reportOverride(where, target, property, handler, used);
    else if (used !== undefined && isUnused(used))
      this.warnings.once(
        `unused ${where}`,
        `${where} counts nothing: no route, message, field or connection uses the method. For calls in code, inject RateLimiterService.`,
      );
  }

  #reportLost(where: string, target: Type, handler: object, own: object | undefined): void {
    // A wrapped handleConnection still calls the one that checks the limits.
    if (Reflect.hasMetadata(CONNECTION_METADATA, handler) && isGateway(target)) return;
    const error = new ConfigurationError(
      `${where} has no effect: another decorator above it has replaced the method, and with it the declaration. ` +
        `Put ${namesOf(handler)} above that decorator, or let it copy the metadata of the method that it replaces.`,
    );
    if (isRouteHandler(own)) throw error;
    this.warnings.once(`lost ${where}`, error.message);
  }

  #reportOverride(
    where: string,
    target: Type,
    property: string | symbol,
    handler: object,
    used: object | undefined,
  ): void {
    if (!isRouteHandler(used) || !Reflect.hasMetadata(LIMITS_METADATA, handler)) return;
    if ([LIMITS_METADATA, SKIP_METADATA].some((key) => Reflect.hasMetadata(key, used))) return;
    this.warnings.once(
      `override ${target.name} ${where}`,
      `${where} does not apply to ${target.name}.${String(property)}, which overrides it. Repeat @RateLimit there, or say ` +
        '@SkipRateLimit() if it is to have no limit.',
    );
  }

  #checkClass(target: Type): void {
    if (!Reflect.hasOwnMetadata(LIMITS_METADATA, target)) return;
    const prototype = target.prototype as object;
    const methods = this.#scanner.getAllMethodNames(prototype).map((name) => methodIn(prototype, name));
    if (methods.some((method) => method !== undefined && !isUnused(method))) return;
    this.warnings.once(
      `unused ${target.name}`,
      `@RateLimit on ${target.name} counts nothing: the class handles no route, message, field or connection. For calls in code, ` +
        'inject RateLimiterService.',
    );
  }
}

/** Yields the prototypes of a class and of its base classes. */
function* prototypesOf(target: Type): Iterable<object> {
  let prototype = target.prototype as object | null;
  while (prototype !== null && prototype !== Object.prototype) {
    yield prototype;
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
}

/** Returns the decorated methods of a class, each function once. */
function methodsOf(prototype: object): readonly DecoratedMethod[] {
  const all = (Reflect.getOwnMetadata(METHODS_METADATA, prototype) ?? []) as readonly DecoratedMethod[];
  return [...new Map(all.map((method) => [method.handler, method])).values()];
}

/** Returns the function of a method, inherited ones too. Calls no getter. */
function methodIn(prototype: object, property: string | symbol): object | undefined {
  for (let one: object | null = prototype; one !== null; one = Object.getPrototypeOf(one) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(one, property);
    if (descriptor === undefined) continue;
    const value: unknown = descriptor.value;
    return typeof value === 'function' ? value : undefined;
  }
  return undefined;
}

/** Returns whether a method has all that was declared on the function that it once was. */
function isKept(handler: object, method: object | undefined): boolean {
  if (method === handler) return true;
  if (method === undefined) return false;
  return [LIMITS_METADATA, SKIP_METADATA].every((key) => {
    const kept = listIn(key, method);
    return kept.includes('all') || listIn(key, handler).every((one) => kept.includes(one));
  });
}

function listIn(key: string, method: object): unknown[] {
  return [Reflect.getMetadata(key, method) ?? []].flat() as unknown[];
}

/** Returns whether nothing known calls a method as a handler. One with metadata of another library may be that library's handler. */
function isUnused(method: object): boolean {
  if (isRouteHandler(method)) return false;
  return Reflect.getMetadataKeys(method).every((key) => NOT_OF_HANDLERS.test(String(key)));
}

function namesOf(handler: object): string {
  return Reflect.hasMetadata(LIMITS_METADATA, handler) ? '@RateLimit' : '@SkipRateLimit';
}
