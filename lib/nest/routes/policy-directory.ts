import { Injectable } from '@nestjs/common';
import { ConfigurationError } from '../../common/errors.js';
import { positionOf } from '../../core/limit.js';
import type { CompiledRule } from '../../policies/rules.js';
import type { CompiledRoute, PolicyReference, RoutePolicy } from './route-policy.js';

/** A rule, which is looked up like a route, or with each route. */
type KnownRule = Pick<CompiledRule<RoutePolicy>, 'id' | 'policies' | 'isPerRoute' | 'policiesOf'>;

/** Looks up the policies of all known routes and rules by name. */
@Injectable()
export class PolicyDirectory {
  readonly #routes = new Map<string, CompiledRoute>();
  #rules: readonly KnownRule[] = [];
  readonly #found = new Map<string, RoutePolicy>();

  /** Adds a route. Ignores a second one with the same id. */
  add(route: CompiledRoute): void {
    if (this.#routes.has(route.id)) return;
    this.#routes.set(route.id, route);
    this.#found.clear();
  }

  /** All known routes. */
  get routes(): readonly CompiledRoute[] {
    return [...this.#routes.values()];
  }

  /** All known policies. */
  get policies(): readonly RoutePolicy[] {
    return [...this.#routes.values(), ...this.#rules].flatMap(({ policies }) => policies);
  }

  /** Replaces the rules. */
  setRules(rules: readonly KnownRule[]): void {
    this.#rules = rules;
    this.#found.clear();
  }

  /**
   * Returns the policy of a reference.
   *
   * @throws ConfigurationError if there is none, or several that differ
   */
  find(reference: PolicyReference): RoutePolicy {
    const key = JSON.stringify([reference.policy, reference.route]);
    let policy = this.#found.get(key);
    if (policy === undefined) {
      policy = this.#search(reference);
      this.#found.set(key, policy);
    }
    return policy;
  }

  /** Returns all routes and rules with their policies, by the ids that a reference names. */
  known(): readonly Pick<CompiledRoute, 'id' | 'policies'>[] {
    const routes = [...this.#routes.values()];
    return [...routes, ...this.#rules.flatMap((rule) => ofRoutes(rule, routes))];
  }

  #search({ policy: name, route }: PolicyReference): RoutePolicy {
    const known = this.known();
    const found = known
      .filter(({ id }) => route === undefined || id === route || id === `http ${route}`)
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
      const places = [...new Set(found.map(({ id }) => JSON.stringify(id.replace('http ', ''))))];
      throw new ConfigurationError(
        places.length === 1
          ? `The route ${places.join()} has several policies "${name}". Give each a name of its own: @RateLimit(limits, { name }).`
          : `Several policies "${name}" count apart or differ. Name the route too, { policy: '${name}', route }: one of ${places.join(', ')}; ` +
              'or give the policies names or a scope of their own.',
      );
    }
    return first.policy;
  }
}

/** Returns a rule as a route; one that counts per route, once for each route of HTTP. Only requests show which of them it covers. */
function ofRoutes(
  rule: KnownRule,
  routes: readonly CompiledRoute[],
): readonly Pick<CompiledRoute, 'id' | 'policies'>[] {
  if (!rule.isPerRoute) return [rule];
  return routes
    .filter(({ id, skips }) => id.startsWith('http ') && skips !== 'all')
    .map(({ id }) => ({ id, policies: rule.policiesOf(id) }));
}

/** Returns a key that is equal for policies with the same counts, amounts and kind of identity. */
function countedAs({ id, source, limits }: RoutePolicy): string {
  const cells = limits.map((limit) => `${limit.id} ${limit.amount} ${limit.burst} ${positionOf(limit)}`);
  return [id, ...source.types, ...cells].join();
}
