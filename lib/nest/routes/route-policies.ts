import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type Type,
} from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { loadTemporal } from '../../common/temporal.js';
import { compilePolicies } from '../../policies/compile-policies.js';
import type { Policy, PolicyLevel, PolicyScopes } from '../../policies/policy.js';
import { positionOf } from '../../core/limit.js';
import { assertSupported, type Storage } from '../../core/storage.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { IdentitySources } from '../identities/identity-sources.js';
import { PolicyDirectory } from './policy-directory.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import type { IdentitySource } from '../identities/identity-source.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { RateLimitDeclaration } from '../options/rate-limit.options.js';
import {
  LIMITS_METADATA,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  SKIP_METADATA,
} from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { isRouteHandler, routeId } from '../transports/transports.js';
import type { RouteHandler } from '../transports/transport.js';
import { shownByName } from '../../common/inspection.js';

type Level = PolicyLevel<ExecutionContext, RateLimitKey>;

/** The routes of one controller. */
interface ControllerRoutes {
  /** The first of the ids of its routes in alphabetical order, which no other controller has. */
  readonly id: string;
  /** Path of its module, from `RouterModule`. */
  readonly modulePath: string | undefined;
  /** Weak, since an application may create a handler per request. */
  readonly compiled: WeakMap<RouteHandler, CompiledRoute>;
}

/** Compiles the policies of every handler when the application starts, and looks them up by handler. */
@Injectable()
@shownByName
export class RoutePolicies implements OnApplicationBootstrap {
  readonly #controllers = new WeakMap<Type, ControllerRoutes>();
  readonly #scanner = new MetadataScanner();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(IdentitySources) private readonly identities: IdentitySources,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
  ) {}

  /** Compiles all handlers, so that an invalid declaration stops the start. */
  async onApplicationBootstrap(): Promise<void> {
    this.identities.for(this.options.key, 'RateLimitModule');
    await this.prepare(this.options.limits);
    this.ofModule();
    for (const controller of this.#knownClasses()) {
      for (const handler of this.#handlersOf(controller)) await this.find(controller, handler);
    }
  }

  /** Returns a route as {@link get} does, or a promise of it while what its calendar windows need is loaded. */
  find(controller: Type, handler: RouteHandler): Awaitable<CompiledRoute> {
    const known = this.#controllers.get(controller)?.compiled.get(handler);
    if (known !== undefined) return known;
    const declarations = levelsOf(controller, handler).flatMap((level) => level.declarations);
    return chain(this.prepare([...this.options.limits, ...declarations]), () =>
      this.get(controller, handler),
    );
  }

  /** Loads what the calendar windows of declarations need, if there are any. */
  prepare(declarations: readonly Pick<RateLimitDeclaration, 'strategy'>[]): Awaitable<void> {
    const { strategy } = this.options;
    // Some may be no declarations at all, since they are not checked yet.
    const isCalendar = Array.from(declarations, (one) => one?.strategy ?? strategy).includes(
      'calendar-window',
    );
    return isCalendar ? loadTemporal() : undefined;
  }

  /** Returns a route and its policies. A handler that did not exist at the start is compiled on its first request. */
  get(controller: Type, handler: RouteHandler): CompiledRoute {
    return this.#controllers.get(controller)?.compiled.get(handler) ?? this.#add(controller, handler);
  }

  /** Compiles the policies that the module declares for every route. */
  ofModule(): readonly RoutePolicy[] {
    return this.compile([this.#moduleLevel()], { route: '', controller: '' });
  }

  /**
   * Compiles the declarations of levels, from the outermost to the innermost.
   *
   * @throws ConfigurationError naming the place of an invalid declaration
   */
  compile(levels: readonly Level[], scopes: PolicyScopes): readonly RoutePolicy[] {
    const compiled = compilePolicies<ExecutionContext, RateLimitKey>({
      levels,
      scopes,
      defaultStrategy: this.options.strategy,
      defaultCalendar: { timeZone: this.options.timeZone, anchor: this.options.anchor },
      otherNames: this.options.rules.map(({ name, id }) => name ?? id),
      assertSupported: (limit) => assertSupported(this.storage, limit),
    });
    return compiled.map(({ key = this.options.key, ...policy }) => {
      const source = this.identities.for(key, policy.where);
      return Object.freeze({ ...policy, source, fingerprint: fingerprintOf(policy, source) });
    });
  }

  #add(controller: Type, handler: RouteHandler): CompiledRoute {
    const routes = this.#routesOf(controller);
    const id = routeId(controller, handler, routes.modulePath);
    const levels = [this.#moduleLevel(), ...levelsOf(controller, handler)];
    const policies = this.compile(levels, { route: id, controller: routes.id });
    const route: CompiledRoute = {
      id,
      policies,
      beforeAuth: policies.filter(({ phase }) => phase === 'beforeAuth'),
      skips: skipsOf(levels),
    };
    this.identityWarnings.checkUnverified(policies);
    routes.compiled.set(handler, route);
    this.directory.add(route);
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

  /** Yields controllers and providers, since gateways and resolvers are providers. */
  *#knownClasses(): Iterable<Type> {
    for (const { controllers, providers } of this.modules.values()) {
      for (const { metatype } of controllers.values()) if (hasPrototype(metatype)) yield metatype;
      for (const { metatype, inject } of providers.values())
        if (hasPrototype(metatype) && inject === undefined) yield metatype;
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

/** Returns the levels of a class and its base classes, the outermost first: a derived class's limits replace its base's. */
function classLevels(controller: Type): Level[] {
  const levels: Level[] = [];
  for (
    let target: object | null = controller;
    typeof target === 'function' && target !== Function.prototype;
    target = Object.getPrototypeOf(target) as object | null
  ) {
    levels.unshift(levelOf(target, 'controller', `@RateLimit on ${(target as Type).name}`));
  }
  return levels;
}

/** Returns the levels of a handler, the outermost first. */
function levelsOf(controller: Type, handler: RouteHandler): Level[] {
  const own = levelOf(handler, 'route', `@RateLimit on ${controller.name}.${handler.name}`);
  return [...classLevels(controller), own];
}

function levelOf(target: object, scope: 'route' | 'controller', where: string): Level {
  // A base class is a separate level. A handler inherits the metadata of the original function if a decorator has wrapped it.
  const read = (key: string): unknown =>
    (scope === 'route' ? Reflect.getMetadata(key, target) : Reflect.getOwnMetadata(key, target)) ?? [];
  return {
    where,
    scope,
    declarations: read(LIMITS_METADATA) as readonly RateLimitDeclaration[],
    skips: read(SKIP_METADATA) as 'all' | readonly string[],
  };
}

function fingerprintOf(
  { id, limits, limitsFor, plans, calendar, phase }: Omit<Policy<never, unknown>, 'key'>,
  { types }: IdentitySource,
): string {
  const all = [limits, ...(plans?.values() ?? [])].flat();
  const cells = new Set(
    all.map((limit) => `${limit.id} ${limit.amount} ${limit.burst} ${limit.mode} ${positionOf(limit)}`),
  );
  const found = limitsFor === undefined && calendar === undefined ? [] : [phase]; // its limits are not known yet
  return [id, ...found, ...cells, ...types].join(' ');
}

function skipsOf(levels: readonly Level[]): 'all' | ReadonlySet<string> {
  return levels.some(({ skips }) => skips === 'all') ? 'all' : new Set(levels.flatMap(({ skips }) => skips));
}

function hasPrototype(value: unknown): value is Type {
  return typeof value === 'function' && value.prototype !== undefined;
}
