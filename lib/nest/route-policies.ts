import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type Type,
} from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { ConfigurationError } from '../common/errors.js';
import { compilePolicies } from '../policies/compile-policies.js';
import type { KeyFunction, Policy, PolicyLevel } from '../policies/policy.js';
import { assertSupported, type Storage } from '../storages/storage.js';
import { IdentityResolvers } from './identity-resolvers.js';
import type { RateLimitDeclaration, RateLimitKey } from './rate-limit.options.js';
import {
  LIMITS_METADATA,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  SKIP_METADATA,
} from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import { isRouteHandler, routeId, type RouteHandler } from './route-id.js';

/** A policy of a route, ready for requests: its key is a function, or absent for the client's address. */
export type RoutePolicy = Policy<ExecutionContext, KeyFunction<ExecutionContext>>;

/** A policy by its name, for the calls of {@link RateLimiterService}. */
export interface PolicyReference {
  /** Name of the policy, as given to `@RateLimit`; `'default'` for one without a name. */
  policy: string;
  /** Which route's, where several routes count a policy of this name apart: `'POST /login'`. */
  route?: string;
}

type Level = PolicyLevel<ExecutionContext, RateLimitKey>;

interface CompiledRoute {
  readonly id: string;
  readonly policies: readonly RoutePolicy[];
}

/** The policies of every route: compiled when the application starts, looked up by handler afterwards. */
@Injectable()
export class RoutePolicies implements OnApplicationBootstrap {
  /** By controller and handler: heirs of one class share handlers. Weak, since handlers may be made anew for each request. */
  readonly #routes = new WeakMap<Type, WeakMap<RouteHandler, CompiledRoute>>();
  readonly #known = new Map<string, CompiledRoute>();
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
    for (const controller of this.#controllers()) {
      for (const handler of this.#handlersOf(controller)) this.of(controller, handler);
    }
  }

  /** The policies of a route. A handler that was not there at the start is compiled at its first request. */
  of(controller: Type, handler: RouteHandler): readonly RoutePolicy[] {
    return (this.#routes.get(controller)?.get(handler) ?? this.#add(controller, handler)).policies;
  }

  /**
   * The policy that a reference means.
   *
   * @throws ConfigurationError when there is none, or several that differ
   */
  find({ policy: name, route }: PolicyReference): RoutePolicy {
    const isMeant = ({ id }: CompiledRoute): boolean => route === undefined || id === `http ${route}`;
    const known = [...this.#known.values()];
    const found = known
      .filter(isMeant)
      .flatMap(({ id, policies }) =>
        policies.filter((policy) => policy.name === name).map((policy) => ({ id, policy })),
      );
    const distinct = new Map(found.map((one) => [countedAs(one.policy), one]));
    const [first, ...others] = distinct.values();
    if (first === undefined) {
      const names = [...new Set(known.flatMap(({ policies }) => policies.map((policy) => policy.name)))];
      throw new ConfigurationError(
        `There is no policy "${name}"${route === undefined ? '' : ` on the route "${route}"`}. Known policies: ${names.join(', ') || 'none'}.`,
      );
    }
    if (others.length > 0) {
      const routes = [...new Set(found.map(({ id }) => JSON.stringify(id.replace('http ', ''))))];
      throw new ConfigurationError(
        routes.length === 1
          ? `The route ${routes.join()} has several policies "${name}". Give each a name of its own: @RateLimit(limits, { name }).`
          : `Several policies "${name}" count apart or differ. Name the route too, { policy: '${name}', route }: one of ${routes.join(', ')}; ` +
              'or give the policies names or a scope of their own.',
      );
    }
    return first.policy;
  }

  #add(controller: Type, handler: RouteHandler): CompiledRoute {
    const id = this.#routeId(controller, handler);
    const levels = [this.#moduleLevel(), ...classLevels(controller), handlerLevel(controller, handler)];
    const route = {
      id,
      policies: this.#compile(levels, { route: id, controller: this.#controllerId(controller) }),
    };
    const routes = this.#routes.get(controller) ?? new WeakMap<RouteHandler, CompiledRoute>();
    this.#routes.set(controller, routes.set(handler, route));
    if (!this.#known.has(id)) this.#known.set(id, route);
    return route;
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

  #routeId(controller: Type, handler: RouteHandler): string {
    return routeId(controller, handler, this.#modulePath(controller));
  }

  /** Of all routes of a controller the first in order: no other controller has it. */
  #controllerId(controller: Type): string {
    const ids = this.#handlersOf(controller).map((handler) => this.#routeId(controller, handler));
    return ids.sort()[0] ?? '';
  }

  #handlersOf(controller: Type): RouteHandler[] {
    const prototype = controller.prototype as Record<string, unknown>;
    return this.#scanner
      .getAllMethodNames(prototype)
      .map((name) => prototype[name])
      .filter(isRouteHandler);
  }

  *#controllers(): Iterable<Type> {
    for (const module of this.modules.values()) {
      for (const { metatype } of module.controllers.values()) if (isClass(metatype)) yield metatype;
    }
  }

  /** The path that `RouterModule` gave to the controller's module. */
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

/** The same for policies that are one to whoever counts by hand: of the same counts, amounts and kind of identity. */
function countedAs({ key, limits }: RoutePolicy): string {
  const cells = limits.map(({ id, amount, burst }) => `${id} ${amount} ${burst}`);
  return [key === undefined ? 'ip' : 'key', ...cells].join();
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
