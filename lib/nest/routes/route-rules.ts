import { Inject, Injectable, type ExecutionContext, type OnModuleInit } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { resolvedPaths } from '../../policies/request-path.js';
import { RouteTemplate } from '../../policies/route-template.js';
import { policiesFor, RuleBook, type RuleOfRoute } from '../../policies/rules.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { PolicyDirectory } from './policy-directory.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { RateLimitRule } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { RoutePolicies } from './route-policies.js';
import { isMounted, requestPaths, routedPaths, templateOf } from './routed-path.js';
import type { HttpRequest } from '../transports/http.transport.js';

type Rules = RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>;

/** The policies of a request, including those of rules. */
export interface PoliciesByPhase {
  readonly policies: readonly RoutePolicy[];
  /** The policies that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
}

/** The rules for requests that reach a route by one method and template. */
interface RuledRoute {
  readonly method: string | undefined;
  readonly templateText: string | undefined;
  readonly isMounted: boolean;
  /** Absent where the adapter does not tell it. */
  readonly template: RouteTemplate | undefined;
  /** The policies of every such request; absent where they depend on its path. */
  readonly always: PoliciesByPhase | undefined;
  readonly rules: readonly RuleOfRoute<RoutePolicy>[];
}

/** Compiles the rules, and returns their policies for requests, whether or not they reach a route. */
@Injectable()
export class RouteRules implements OnModuleInit {
  #book: Rules | undefined;
  #isInitialized = false;
  /** Cache by route, method and template. Small: routes have few templates, and Node.js accepts a fixed set of methods. */
  #ruled = new WeakMap<CompiledRoute, RuledRoute[]>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
  ) {}

  /** Compiles the rules, so that an invalid one stops the start. */
  async onModuleInit(): Promise<void> {
    await this.set(this.options.rules);
    this.#isInitialized = true;
  }

  /** Whether the application has bound its routes, which come before middleware that is bound later. */
  get isInitialized(): boolean {
    return this.#isInitialized;
  }

  get rules(): readonly RateLimitRule[] {
    return this.#book?.rules ?? [];
  }

  /**
   * Replaces all rules in one step. A rule keeps its counts if its id, window and strategy stay the same. Returns a promise if
   * something must be loaded first, for calendar windows.
   *
   * @throws ConfigurationError naming the invalid rule; the rules then stay unchanged
   */
  set(rules: readonly RateLimitRule[]): Awaitable<void> {
    const given = [...rules];
    return chain(this.routes.prepare([...this.options.limits, ...given]), () => this.#set(given));
  }

  #set(rules: readonly RateLimitRule[]): void {
    const book: Rules = new RuleBook(rules, (level) =>
      this.routes.compile([level], { route: '', controller: '' }),
    );
    this.#book = rules.length > 0 ? book : undefined;
    this.#ruled = new WeakMap();
    this.directory.setRules(
      book.compiled.map(({ id, policies }) => ({
        id: `rule ${id}`,
        policies,
        beforeAuth: policies,
        skips: NONE,
      })),
    );
    for (const rule of book.compiled) {
      if (!rule.policies.some(({ source }) => source.isUnverified)) continue;
      const others = book.beside(rule).flatMap(({ policies }) => policies);
      this.identityWarnings.checkUnverified([...rule.policies, ...others, ...this.routes.ofModule()]);
    }
  }

  /** Returns the policies of a request to a route: the route's, then those of rules. */
  policiesFor(route: CompiledRoute, request: HttpRequest): PoliciesByPhase {
    const book = this.#book;
    if (book === undefined || route.skips === 'all') return route;
    const { always, rules, template } = this.#ruledRoute(book, route, request);
    const isCatchAll = template?.isCatchAll ?? true;
    if (always !== undefined && !isCatchAll) return always;
    const paths = routedPaths(request, template);
    // A handler of a catch-all route may resolve the path, which may then match any rule.
    const resolved = isCatchAll ? resolvedPaths(paths) : [];
    if (always !== undefined && resolved.length === 0) return always;
    return withRules(
      route,
      union([
        ...paths.map((path) => policiesFor(rules, path)),
        ...resolved.map((path) => book.forRequest(request.method ?? '', path)),
      ]),
    );
  }

  /** Returns the policies of the rules that apply to any reading of a request's URL, before it is routed. */
  forRequest(request: HttpRequest): readonly RoutePolicy[] {
    const book = this.#book;
    if (book === undefined) return [];
    const paths = requestPaths(request);
    return union(
      [...paths, ...resolvedPaths(paths)].map((path) => book.forRequest(request.method ?? '', path)),
    );
  }

  #ruledRoute(book: Rules, route: CompiledRoute, request: HttpRequest): RuledRoute {
    const { method } = request;
    const templateText = templateOf(request);
    const mounted = isMounted(request);
    const known = this.#ruled.get(route);
    const found = known?.find(
      (ruled) =>
        ruled.method === method && ruled.templateText === templateText && ruled.isMounted === mounted,
    );
    if (found !== undefined) return found;
    const rules = book.forRoute(method ?? '', (mounted ? undefined : templateText) ?? '/*any');
    const isCertain = rules.every(({ always }) => always);
    const ruled: RuledRoute = {
      method,
      templateText,
      isMounted: mounted,
      template: templateText === undefined ? undefined : new RouteTemplate(templateText),
      always: isCertain ? withRules(route, policiesFor(rules, [])) : undefined,
      rules,
    };
    if (known === undefined) this.#ruled.set(route, [ruled]);
    else known.push(ruled);
    return ruled;
  }
}

const NONE: ReadonlySet<string> = new Set();

function withRules(route: CompiledRoute, ruled: readonly RoutePolicy[]): PoliciesByPhase {
  const { skips } = route;
  const added = skips === 'all' ? [] : ruled.filter(({ name }) => !skips.has(name));
  const policies = [...route.policies, ...added];
  return { policies, beforeAuth: policies.filter(({ phase }) => phase === 'beforeAuth') };
}

function union(lists: readonly (readonly RoutePolicy[])[]): readonly RoutePolicy[] {
  return lists.length === 1 ? (lists[0] ?? []) : [...new Set(lists.flat())];
}
