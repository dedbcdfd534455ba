import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type Type,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { fingerprintOf } from '../../common/fingerprint.js';
import { loadTemporal } from '../../common/temporal.js';
import { compilePolicies } from '../../policies/compile-policies.js';
import { policyOptions } from '../../policies/policy-options.js';
import type { PolicyLevel, PolicyScopes } from '../../policies/policy.js';
import { assertSupported, type Storage } from '../../core/storage.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { IdentitySources } from '../identities/identity-sources.js';
import { knownClasses } from './known-classes.js';
import { PolicyDirectory } from './policy-directory.js';
import { handlersOf, RouteIds } from './route-ids.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { RateLimitDeclaration } from '../options/rate-limit.options.js';
import {
  LIMITS_METADATA,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  SKIP_METADATA,
} from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Transports, typesOf } from '../transports/transports.js';
import type { RouteHandler } from '../transports/transport.js';
import { shownByName } from '../../common/inspection.js';

type Level = PolicyLevel<ExecutionContext, RateLimitKey>;

/** The routes of one controller. */
interface ControllerRoutes {
  /** The first of the ids of its routes in alphabetical order, which no other controller has. */
  readonly id: string;
  /** The routes that limits of the module count, by handler. Weak, since an application may create a handler per request. */
  readonly compiled: WeakMap<RouteHandler, CompiledRoute>;
  /** The same handlers without the limits of the module. */
  readonly decorated: WeakMap<RouteHandler, CompiledRoute>;
}

/** Compiles the policies of every handler when the application starts, and looks them up by handler. */
@Injectable()
@shownByName
export class RoutePolicies implements OnApplicationBootstrap {
  readonly #controllers = new WeakMap<Type, ControllerRoutes>();
  #isCompiled = false;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(IdentitySources) private readonly identities: IdentitySources,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RouteIds) private readonly ids: RouteIds,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
    @Inject(Transports) private readonly transports: Transports,
  ) {}

  /** Compiles all handlers, so that an invalid declaration stops the start. */
  async onApplicationBootstrap(): Promise<void> {
    await this.load();
    this.#compileAll();
  }

  /** Loads what the calendar windows of any declaration need. */
  load(): Awaitable<void> {
    const declarations = [...knownClasses(this.modules)].flatMap((controller) =>
      handlersOf(controller).flatMap((handler) => declarationsOn(controller, handler)),
    );
    return this.prepare([...this.options.limits, ...this.options.rules, ...declarations]);
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

  /** Returns a route as {@link get} does, or a promise of it while what its calendar windows need is loaded. */
  find(controller: Type, handler: RouteHandler, isLimitedByModule = true): Awaitable<CompiledRoute> {
    const known = this.#known(controller, handler, isLimitedByModule);
    if (known !== undefined) return known;
    return chain(this.prepare([...this.options.limits, ...declarationsOn(controller, handler)]), () =>
      this.get(controller, handler, isLimitedByModule),
    );
  }

  /** Compiles all handlers unless that is done, for a policy that is looked up by name before the application has started. */
  ensureCompiled(): void {
    if (!this.#isCompiled) this.#compileAll();
  }

  #compileAll(): void {
    this.identities.for(this.options.key, 'RateLimitModule');
    this.ofModule();
    for (const controller of knownClasses(this.modules)) {
      for (const handler of handlersOf(controller))
        for (const type of typesOf(handler))
          this.get(controller, handler, this.transports.areLimitedByModule(type));
    }
    this.#isCompiled = true;
  }

  /**
   * Returns a route and its policies. A handler that did not exist at the start is compiled on its first request.
   *
   * @param isLimitedByModule whether limits of the module count it, which depends on the transport. Default: true
   */
  get(controller: Type, handler: RouteHandler, isLimitedByModule = true): CompiledRoute {
    return (
      this.#known(controller, handler, isLimitedByModule) ?? this.#add(controller, handler, isLimitedByModule)
    );
  }

  #known(controller: Type, handler: RouteHandler, isLimitedByModule: boolean): CompiledRoute | undefined {
    const routes = this.#controllers.get(controller);
    return (isLimitedByModule ? routes?.compiled : routes?.decorated)?.get(handler);
  }

  /** Compiles the policies that the module declares for every route. */
  ofModule(): readonly RoutePolicy[] {
    return this.compile([this.#moduleLevel()], { route: '', controller: '' });
  }

  /**
   * Compiles the declarations of levels, from the outermost to the innermost.
   *
   * @param otherNames names of policies, besides those of rules, that a level may skip although they do not apply there
   * @throws ConfigurationError naming the place of an invalid declaration
   */
  compile(
    levels: readonly Level[],
    scopes: PolicyScopes,
    otherNames: readonly string[] = [],
  ): readonly RoutePolicy[] {
    const compiled = compilePolicies<ExecutionContext, RateLimitKey>({
      levels,
      scopes,
      defaultStrategy: this.options.strategy,
      defaultBlock: this.options.block,
      defaultWait: this.options.wait,
      defaultCalendar: { timeZone: this.options.timeZone, anchor: this.options.anchor },
      otherNames: [...this.options.rules.map(({ name, id }) => name ?? id), ...otherNames],
      assertSupported: (limit) => assertSupported(this.storage, limit),
    });
    return compiled.map(({ key = this.options.key, ...policy }) => {
      const source = this.identities.for(key, policy.where);
      const fingerprint = `${policy.fingerprint}${fingerprintOf(key)}`;
      return Object.freeze({ ...policy, source, fingerprint });
    });
  }

  #add(controller: Type, handler: RouteHandler, isLimitedByModule: boolean): CompiledRoute {
    const routes = this.#routesOf(controller);
    const id = this.ids.get(controller, handler);
    const module = this.#moduleLevel();
    const own = levelsOf(controller, handler);
    const levels = isLimitedByModule ? [module, ...own] : own;
    const otherNames = module.declarations.map(({ name = policyOptions.name.default }) => name);
    const policies = this.compile(
      levels,
      { route: id, controller: routes.id },
      isLimitedByModule ? [] : otherNames,
    );
    const route: CompiledRoute = {
      id,
      name: id.replace(/^http /, ''),
      policies,
      beforeAuth: policies.filter(({ phase }) => phase === 'beforeAuth'),
      skips: skipsOf(levels),
    };
    this.identityWarnings.checkUnverified(policies);
    (isLimitedByModule ? routes.compiled : routes.decorated).set(handler, route);
    this.directory.add(route);
    return route;
  }

  #routesOf(controller: Type): ControllerRoutes {
    let routes = this.#controllers.get(controller);
    if (routes === undefined) {
      routes = { id: this.ids.firstOf(controller), compiled: new WeakMap(), decorated: new WeakMap() };
      this.#controllers.set(controller, routes);
    }
    return routes;
  }

  #moduleLevel(): Level {
    return { where: 'RateLimitModule', scope: 'global', declarations: this.options.limits, skips: [] };
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

/** Returns what is declared on a handler and its classes. */
function declarationsOn(controller: Type, handler: RouteHandler): RateLimitDeclaration[] {
  return levelsOf(controller, handler).flatMap(({ declarations }) => declarations);
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

function skipsOf(levels: readonly Level[]): 'all' | ReadonlySet<string> {
  return levels.some(({ skips }) => skips === 'all') ? 'all' : new Set(levels.flatMap(({ skips }) => skips));
}
