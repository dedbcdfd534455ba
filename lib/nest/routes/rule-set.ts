import type { ExecutionContext } from '@nestjs/common';
import { requestPaths, routedPaths, isMounted, templateOf } from './routed-path.js';
import { resolvedPaths } from '../../policies/request-path.js';
import { RouteTemplate } from '../../policies/route-template.js';
import { policiesFor, type RuleBook, type RuleOfRoute } from '../../policies/rules.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { HttpRequest } from '../transports/http.transport.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';

/** The policies of a request, including those of rules. */
export interface PoliciesByPhase {
  readonly policies: readonly RoutePolicy[];
  /** The policies that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
  /** The rules that were looked up; absent if there are none. */
  readonly ruleSet?: RuleSet | undefined;
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

/** Rules that hold together, until they are replaced. A request keeps those that counted it first. */
export class RuleSet {
  /** Cache by route, method and template. Small: routes have few templates, and Node.js accepts a fixed set of methods. */
  readonly #ruled = new WeakMap<CompiledRoute, RuledRoute[]>();

  /** @param owner what compiled the rules */
  constructor(
    readonly owner: object,
    readonly book: RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>,
  ) {}

  /** Returns the policies of a request to a route: the route's, then those of rules. */
  policiesFor(route: CompiledRoute, request: HttpRequest): PoliciesByPhase {
    const { always, rules, template } = this.#ruledRoute(route, request);
    const isCatchAll = template?.isCatchAll ?? true;
    if (always !== undefined && !isCatchAll) return always;
    const paths = routedPaths(request, template);
    // A handler of a catch-all route may resolve the path, which may then match any rule.
    const resolved = isCatchAll ? resolvedPaths(paths) : [];
    if (always !== undefined && resolved.length === 0) return always;
    return this.#withRules(
      route,
      union([
        ...paths.map((path) => policiesFor(rules, path, route.id)),
        ...resolved.map((path) => this.book.forRequest(request.method ?? '', path, route.id)),
      ]),
    );
  }

  /** Returns the policies that count every request to a route by one method and template. */
  certainPoliciesFor(route: CompiledRoute, method: string, template: string): readonly RoutePolicy[] {
    const rules = this.book.forRoute(method, template).filter(({ always }) => always);
    return this.#withRules(route, policiesFor(rules, [], route.id)).policies;
  }

  /** Returns the policies of the rules that apply to any reading of a request's URL, before it is routed. */
  forRequest(request: HttpRequest): readonly RoutePolicy[] {
    const paths = requestPaths(request);
    return union(
      [...paths, ...resolvedPaths(paths)].map((path) => this.book.forRequest(request.method ?? '', path)),
    );
  }

  #ruledRoute(route: CompiledRoute, request: HttpRequest): RuledRoute {
    const { method } = request;
    const templateText = templateOf(request);
    const mounted = isMounted(request);
    const known = this.#ruled.get(route);
    const found = known?.find(
      (ruled) =>
        ruled.method === method && ruled.templateText === templateText && ruled.isMounted === mounted,
    );
    if (found !== undefined) return found;
    const rules = this.book.forRoute(method ?? '', (mounted ? undefined : templateText) ?? '/*any');
    const isCertain = rules.every(({ always }) => always);
    const ruled: RuledRoute = {
      method,
      templateText,
      isMounted: mounted,
      template: templateText === undefined ? undefined : new RouteTemplate(templateText),
      always: isCertain ? this.#withRules(route, policiesFor(rules, [], route.id)) : undefined,
      rules,
    };
    if (known === undefined) this.#ruled.set(route, [ruled]);
    else known.push(ruled);
    return ruled;
  }

  #withRules(route: CompiledRoute, ruled: readonly RoutePolicy[]): PoliciesByPhase {
    const { skips } = route;
    const added = skips === 'all' ? [] : ruled.filter(({ name }) => !skips.has(name));
    const policies = [...route.policies, ...added];
    const beforeAuth = policies.filter(({ phase }) => phase === 'beforeAuth');
    return { policies, beforeAuth, ruleSet: this };
  }
}

function union(lists: readonly (readonly RoutePolicy[])[]): readonly RoutePolicy[] {
  return lists.length === 1 ? (lists[0] ?? []) : [...new Set(lists.flat())];
}
