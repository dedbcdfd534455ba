import { Inject, Injectable, type ExecutionContext, type OnModuleInit } from '@nestjs/common';
import { requestPath } from '../../policies/request-path.js';
import { policiesFor, RuleBook, type RuleOfRoute } from '../../policies/rules.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { PolicyDirectory } from './policy-directory.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { RateLimitRule } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { RoutePolicies } from './route-policies.js';
import type { HttpRequest } from '../transports/http.transport.js';

type Rules = RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>;

/** The policies of a request, including those of rules. */
export interface PoliciesByPhase {
  readonly policies: readonly RoutePolicy[];
  /** The policies that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
}

/** An HTTP request with the properties that Express adds when it routes. */
interface RoutedRequest extends HttpRequest {
  /** Path at which the application is mounted within another, as sent by the client. */
  readonly baseUrl?: string;
  readonly path?: unknown;
}

/** The rules that may apply to a route's requests with one method and path template. */
interface RuledRoute {
  readonly method: string | undefined;
  /** Absent if it is unknown; any path is then possible. */
  readonly template: string | undefined;
  /** The policies of every such request; absent if they depend on the request's path. */
  readonly always: PoliciesByPhase | undefined;
  readonly rules: readonly RuleOfRoute<RoutePolicy>[];
}

/** Compiles the rules, and returns their policies for routes and for requests that reach no route. */
@Injectable()
export class RouteRules implements OnModuleInit {
  #book: Rules | undefined;
  /** Cache by route, method and template. Small: routes have few templates, and Node.js accepts a fixed set of methods. */
  #ruled = new WeakMap<CompiledRoute, RuledRoute[]>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
  ) {}

  /** Compiles the rules, so that an invalid one stops the start. */
  onModuleInit(): void {
    this.set(this.options.rules);
  }

  get rules(): readonly RateLimitRule[] {
    return this.#book?.rules ?? [];
  }

  /**
   * Replaces all rules in one step. A rule keeps its counts if its id, window and strategy stay the same.
   *
   * @throws ConfigurationError naming the invalid rule; the rules then stay unchanged
   */
  set(rules: readonly RateLimitRule[]): void {
    const book: Rules = new RuleBook([...rules], (level) =>
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
    if (this.#book === undefined || route.skips === 'all') return route;
    const { always, rules } = this.#ruledRoute(this.#book, route, request);
    return always ?? withRules(route, policiesFor(rules, pathOf(request)));
  }

  /** Returns the policies of the rules that apply to a request, for any route. */
  forRequest(request: HttpRequest): readonly RoutePolicy[] {
    return this.#book?.forRequest(request.method ?? '', pathOf(request)) ?? [];
  }

  #ruledRoute(book: Rules, route: CompiledRoute, request: HttpRequest): RuledRoute {
    const { method } = request;
    const template = templateOf(request);
    const known = this.#ruled.get(route);
    const found = known?.find((ruled) => ruled.method === method && ruled.template === template);
    if (found !== undefined) return found;
    const rules = book.forRoute(method ?? '', template ?? '/*any');
    const isCertain = rules.every(({ always }) => always);
    const always = isCertain ? withRules(route, policiesFor(rules, '')) : undefined;
    const ruled: RuledRoute = { method, template, always, rules };
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

/** Returns the path template of the route; `undefined` for a mounted application, which sees only a part of it. */
function templateOf({ route, routeOptions, baseUrl }: RoutedRequest): string | undefined {
  const template = route?.path ?? routeOptions?.url;
  return typeof template === 'string' && !baseUrl ? template : undefined;
}

/** Returns the path that was routed. On Express that is not always the path of the URL, and middleware sees a part of it. */
function pathOf({ baseUrl, path, originalUrl, url }: RoutedRequest): string {
  const routed = baseUrl !== undefined && typeof path === 'string' ? baseUrl + path : originalUrl;
  return requestPath(routed ?? url ?? '/');
}
