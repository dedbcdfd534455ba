import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type Type,
} from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { compilePolicies } from '../policies/compile-policies.js';
import type { PolicyLevel } from '../policies/policy.js';
import { assertSupported, type Storage } from '../storages/storage.js';
import { IdentityResolvers } from './identity-resolvers.js';
import {
  PolicyDirectory,
  type CompiledRoute,
  type PolicyReference,
  type RoutePolicy,
} from './policy-directory.js';
import type { RateLimitDeclaration, RateLimitKey } from './rate-limit.options.js';
import {
  LIMITS_METADATA,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  SKIP_METADATA,
} from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import { isRouteHandler, routeId, type RouteHandler } from './route-id.js';

export type { PolicyReference } from './policy-directory.js';

type Level = PolicyLevel<ExecutionContext, RateLimitKey>;

/** What the routes of one controller have in common. */
interface ControllerRoutes {
  /** Of all ids of its routes the first in order: no other controller has it. */
  readonly id: string;
  /** The path that `RouterModule` gave to its module. */
  readonly modulePath: string | undefined;
  /** Weak, since handlers may be made anew for each request. */
  readonly compiled: WeakMap<RouteHandler, CompiledRoute>;
}

/** The policies of every route: compiled when the application starts, looked up by handler afterwards. */
@Injectable()
export class RoutePolicies implements OnApplicationBootstrap {
  readonly #controllers = new WeakMap<Type, ControllerRoutes>();
  readonly #directory = new PolicyDirectory();
  readonly #scanner = new MetadataScanner();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(IdentityResolvers) private readonly identities: IdentityResolvers,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /** Compiles every route that is there, so that a mistake stops the start. */
  onApplicationBootstrap(): void {
    this.#compile([this.#moduleLevel()], { route: '', controller: '' });
    for (const controller of this.#knownControllers()) {
      for (const handler of this.#handlersOf(controller)) this.of(controller, handler);
    }
  }

  /** The policies of a route. A handler that was not there at the start is compiled at its first request. */
  of(controller: Type, handler: RouteHandler): readonly RoutePolicy[] {
    const route = this.#controllers.get(controller)?.compiled.get(handler) ?? this.#add(controller, handler);
    return route.policies;
  }

  /**
   * The policy that a reference means.
   *
   * @throws ConfigurationError when there is none, or several that differ
   */
  find(reference: PolicyReference): RoutePolicy {
    return this.#directory.find(reference);
  }

  #add(controller: Type, handler: RouteHandler): CompiledRoute {
    const routes = this.#routesOf(controller);
    const id = routeId(controller, handler, routes.modulePath);
    const levels = [this.#moduleLevel(), ...classLevels(controller), handlerLevel(controller, handler)];
    const route = { id, policies: this.#compile(levels, { route: id, controller: routes.id }) };
    routes.compiled.set(handler, route);
    this.#directory.add(route);
    return route;
  }

  #routesOf(controller: Type): ControllerRoutes {
    let routes = this.#controllers.get(controller);
    if (routes === undefined) {
      const modulePath = this.#modulePath(controller);
      const ids = this.#handlersOf(controller).map((handler) => routeId(controller, handler, modulePath));
      routes = { id: ids.sort()[0] ?? '', modulePath, compiled: new WeakMap() };
      this.#controllers.set(controller, routes);
    }
    return routes;
  }

  #compile(levels: readonly Level[], scopes: { route: string; controller: string }): readonly RoutePolicy[] {
    const policies = compilePolicies<ExecutionContext, RateLimitKey>({
      levels,
      scopes,
      defaultStrategy: this.options.strategy,
      assertSupported: (limit) => assertSupported(this.storage, limit),
    });
    return policies.map((policy) =>
      Object.freeze({
        ...policy,
        key: this.identities.resolverOf(policy.key ?? this.options.key, policy.where),
      }),
    );
  }

  #moduleLevel(): Level {
    return { where: 'RateLimitModule', scope: 'global', declarations: this.options.limits, skips: [] };
  }

  #handlersOf(controller: Type): RouteHandler[] {
    const prototype = controller.prototype as Record<string, unknown>;
    return this.#scanner
      .getAllMethodNames(prototype)
      .map((name) => prototype[name])
      .filter(isRouteHandler);
  }

  *#knownControllers(): Iterable<Type> {
    for (const module of this.modules.values()) {
      for (const { metatype } of module.controllers.values()) if (isClass(metatype)) yield metatype;
    }
  }

  #modulePath(controller: Type): string | undefined {
    for (const { metatype, controllers } of this.modules.values()) {
      if ([...controllers.values()].some((wrapper) => wrapper.metatype === controller)) {
        return Reflect.getMetadata(`__module_path__${this.modules.applicationId}`, metatype) as
          string | undefined;
      }
    }
    return undefined;
  }
}

/** What a class and those it extends declare, the outermost first: a derived class's limits replace its base's. */
function classLevels(controller: Type): Level[] {
  const levels: Level[] = [];
  for (
    let target: object | null = controller;
    typeof target === 'function';
    target = Object.getPrototypeOf(target) as object | null
  ) {
    levels.unshift(levelOf(target, 'controller', `@RateLimit on ${(target as Type).name}`));
  }
  return levels;
}

function handlerLevel(controller: Type, handler: RouteHandler): Level {
  return levelOf(handler, 'route', `@RateLimit on ${controller.name}.${handler.name}`);
}

function levelOf(target: object, scope: 'route' | 'controller', where: string): Level {
  // What a class inherits is a level of its own; what a handler inherits is of the handler that a decorator has wrapped.
  const read = (key: string): unknown =>
    (scope === 'route' ? Reflect.getMetadata(key, target) : Reflect.getOwnMetadata(key, target)) ?? [];
  return {
    where,
    scope,
    declarations: read(LIMITS_METADATA) as readonly RateLimitDeclaration[],
    skips: read(SKIP_METADATA) as 'all' | readonly string[],
  };
}

function isClass(value: unknown): value is Type {
  return typeof value === 'function' && value.prototype !== undefined;
}
