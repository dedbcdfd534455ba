import { Inject, Injectable, type Type } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { knownClasses } from './known-classes.js';
import { modulePathOf } from './module-path.js';
import { isRouteHandler, routeId } from '../transports/transports.js';
import type { RouteHandler } from '../transports/transport.js';

interface NamedHandler {
  readonly handler: RouteHandler;
  /** The id that its decorators give. */
  readonly pattern: string;
  readonly id: string;
}

const scanner = new MetadataScanner();

/**
 * The ids of routes. Handlers that have one id by their decorators, such as two handlers of an event, are told apart by the order in
 * which Nest knows their classes: the second has `#2` behind the id. Names of classes would not do, since bundlers change them.
 */
@Injectable()
export class RouteIds {
  readonly #taken = new Map<string, number>();
  readonly #classes = new WeakMap<Type, readonly NamedHandler[]>();
  #areKnownNamed = false;

  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  /** Returns the id of a handler. A function that replaces a method, such as one made for each request, has the method's id. */
  get(controller: Type, handler: RouteHandler): string {
    const handlers = this.#namedHandlers(controller);
    const known = handlers.find((one) => one.handler === handler);
    if (known !== undefined) return known.id;
    const pattern = routeId(controller, handler, this.#modulePath(controller));
    return handlers.find((one) => one.pattern === pattern)?.id ?? pattern;
  }

  /** Returns the first id of a class in alphabetical order, which no other class has; `''` for none. */
  firstOf(controller: Type): string {
    const ids = this.#namedHandlers(controller).map(({ id }) => id);
    return ids.sort()[0] ?? '';
  }

  #namedHandlers(controller: Type): readonly NamedHandler[] {
    if (!this.#areKnownNamed) {
      // All together, so that the ids do not depend on which class is used first.
      this.#areKnownNamed = true;
      for (const known of knownClasses(this.modules)) this.#name(known);
    }
    return this.#name(controller);
  }

  #name(controller: Type): readonly NamedHandler[] {
    const named = this.#classes.get(controller);
    if (named !== undefined) return named;
    const modulePath = this.#modulePath(controller);
    const handlers = handlersOf(controller).map((handler) => {
      const pattern = routeId(controller, handler, modulePath);
      return { handler, pattern, id: this.#take(pattern) };
    });
    this.#classes.set(controller, handlers);
    return handlers;
  }

  #take(pattern: string): string {
    const count = (this.#taken.get(pattern) ?? 0) + 1;
    this.#taken.set(pattern, count);
    return count === 1 ? pattern : `${pattern} #${count}`;
  }

  /** Returns the path of a controller's module, from `RouterModule`. */
  #modulePath(controller: Type): string | undefined {
    for (const { metatype, controllers } of this.modules.values()) {
      if ([...controllers.values()].some((wrapper) => wrapper.metatype === controller))
        return modulePathOf(metatype, this.modules);
    }
    return undefined;
  }
}

/** Returns the methods of a class that are handlers. */
export function handlersOf(controller: Type): RouteHandler[] {
  const prototype = controller.prototype as Record<string, unknown>;
  return scanner
    .getAllMethodNames(prototype)
    .map((name) => prototype[name])
    .filter(isRouteHandler);
}
