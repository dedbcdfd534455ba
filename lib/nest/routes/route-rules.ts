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

/** The policies of a request, its rules' included. */
export interface PoliciesByPhase {
  readonly policies: readonly RoutePolicy[];
  /** Those of them that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
}

/** What Express says of the path that it has routed. */
interface RoutedRequest extends HttpRequest {
  /** Where the application is mounted within another; as the client has spelt it. */
  readonly baseUrl?: string;
  readonly path?: unknown;
}

/** What rules make of the requests of a route by one method and template. */
interface RuledRoute {
  readonly method: string | undefined;
  /** Absent where it cannot be told: then the route may be of any path. */
  readonly template: string | undefined;
  /** What holds for each of them; absent where that has to be found out by its path. */
  readonly always: PoliciesByPhase | undefined;
  readonly rules: readonly RuleOfRoute<RoutePolicy>[];
}

/** The rules: what they add to routes, and what they make of requests that reach none. */
@Injectable()
export class RouteRules implements OnModuleInit {
  #book: Rules | undefined;
  /** Few per route: Express and Fastify tell the template with the first request, and methods are those that Node.js knows. */
  #ruled = new WeakMap<CompiledRoute, RuledRoute[]>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
  ) {}

  /** Compiles the rules, so that a mistake stops the start. */
  onModuleInit(): void {
    this.set(this.options.rules);
  }

  get rules(): readonly RateLimitRule[] {
    return this.#book?.rules ?? [];
  }

  /**
   * Replaces all rules at once. What was counted stays where id, window and strategy are the same.
   *
   * @throws ConfigurationError naming the rule that is wrong; then the rules stay as they are
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

  /** The policies of a request to a route: first its own, then those of its rules. */
  policiesFor(route: CompiledRoute, request: HttpRequest): PoliciesByPhase {
    if (this.#book === undefined || route.skips === 'all') return route;
    const { always, rules } = this.#ruledRoute(this.#book, route, request);
    return always ?? withRules(route, policiesFor(rules, pathOf(request)));
  }

  /** The policies of the rules that apply to a request, whatever route it reaches. */
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

/** The template of the path; a mounted application knows only its part of it. */
function templateOf({ route, routeOptions, baseUrl }: RoutedRequest): string | undefined {
  const template = route?.path ?? routeOptions?.url;
  return typeof template === 'string' && !baseUrl ? template : undefined;
}

/** The path as it has been routed: Express reads some URLs in a way of its own, and middleware sees a part of them. */
function pathOf({ baseUrl, path, originalUrl, url }: RoutedRequest): string {
  const routed = baseUrl !== undefined && typeof path === 'string' ? baseUrl + path : originalUrl;
  return requestPath(routed ?? url ?? '/');
}
