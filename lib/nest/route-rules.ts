import { Inject, Injectable, type ExecutionContext, type OnModuleInit } from '@nestjs/common';
import { requestPath } from '../http/request-path.js';
import { policiesFor, RuleBook, type RuleOfRoute } from '../policies/rules.js';
import type { CompiledRoute, PolicyReference, RoutePolicy } from './policy-directory.js';
import type { RateLimitKey } from './identities/rate-limit-key.js';
import type { RateLimitRule } from './rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import { RoutePolicies } from './route-policies.js';
import type { HttpRequest } from './transports/http.transport.js';

type Rules = RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>;

/** The policies of a request, its rules' included. */
export interface RequestPolicies {
  readonly policies: readonly RoutePolicy[];
  /** Those of them that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
}

/** What rules make of the requests of a route by one method. */
interface RuledRoute {
  /** What holds for each of them; absent where that has to be found out by its path. */
  readonly always: RequestPolicies | undefined;
  readonly rules: readonly RuleOfRoute<RoutePolicy>[];
}

/** The rules: what they add to routes, and what they make of requests that reach none. */
@Injectable()
export class RouteRules implements OnModuleInit {
  #book: Rules | undefined;
  /** By method and template, which Express and Fastify tell with the first request. */
  #ruled = new WeakMap<CompiledRoute, Map<string, RuledRoute>>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
  ) {}

  /** Compiles the rules, so that a mistake stops the start. */
  onModuleInit(): void {
    this.set(this.options.rules);
  }

  get rules(): readonly RateLimitRule[] {
    return this.#book?.rules ?? [];
  }

  /**
   * The policy that a reference means, of a rule or of a route.
   *
   * @throws ConfigurationError when there is none, or several that differ
   */
  find(reference: PolicyReference): RoutePolicy {
    const { policy, route } = reference;
    const ruled = route === undefined ? this.#book?.policies.find(({ name }) => name === policy) : undefined;
    return ruled ?? this.routes.find(reference);
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
  }

  /** The policies of a request to a route: first its own, then those of its rules. */
  of(route: CompiledRoute, request: HttpRequest): RequestPolicies {
    if (this.#book === undefined || route.skips === 'all') return route;
    const { always, rules } = this.#ruledRoute(this.#book, route, request);
    return always ?? withRules(route, policiesFor(rules, pathOf(request)));
  }

  /** The policies of the rules that apply to a request, whatever route it reaches. */
  forRequest(request: HttpRequest): readonly RoutePolicy[] {
    return this.#book?.forRequest(request.method ?? '', pathOf(request)) ?? [];
  }

  #ruledRoute(book: Rules, route: CompiledRoute, request: HttpRequest): RuledRoute {
    const template = templateOf(request);
    // A route whose template cannot be told may be of any path.
    const key = `${request.method} ${template ?? '/*'}`;
    const byKey = this.#ruled.get(route) ?? new Map<string, RuledRoute>();
    let ruled = byKey.get(key);
    if (ruled === undefined) {
      const rules = book.forRoute(request.method ?? '', template ?? '/*');
      const isCertain = rules.every(({ always }) => always);
      ruled = { rules, always: isCertain ? withRules(route, policiesFor(rules, '')) : undefined };
      this.#ruled.set(route, byKey.set(key, ruled));
    }
    return ruled;
  }
}

function withRules(route: CompiledRoute, ruled: readonly RoutePolicy[]): RequestPolicies {
  const { skips } = route;
  const added = ruled.filter(
    ({ id, name }) =>
      !(skips instanceof Set && skips.has(name)) && !route.policies.some((policy) => policy.id === id),
  );
  const policies = [...route.policies, ...added];
  return { policies, beforeAuth: policies.filter(({ phase }) => phase === 'beforeAuth') };
}

function templateOf({ route, routeOptions }: HttpRequest): string | undefined {
  const template = route?.path ?? routeOptions?.url;
  return typeof template === 'string' ? template : undefined;
}

function pathOf({ originalUrl, url }: HttpRequest): string {
  return requestPath(originalUrl ?? url ?? '/');
}
