import { assertCost } from '../common/cost.js';
import { ConfigurationError, messageOf } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';
import { assertKnownOptions } from '../common/options.js';
import { itemsOf } from '../limits/limit-input.js';
import type { RateLimitItem } from '../limits/rate-limit-item.js';
import { createLimit, type Limit } from '../storages/limit.js';
import type { StrategyName } from '../strategies/strategy.js';
import type { Policy, PolicyDeclaration, PolicyLevel } from './policy.js';

/** What the compilation of a route's policies needs to know of the route and its module. */
export interface PolicyCompilation<Context, Key> {
  /** From the outermost level to the innermost: module, classes, handler. */
  readonly levels: readonly PolicyLevel<Context, Key>[];
  /** Ids of the route and of its controller, the same in every process. */
  readonly scopes: { readonly route: string; readonly controller: string };
  readonly defaultStrategy: StrategyName;
  /** Throws for a limit that the storage cannot keep. */
  readonly assertSupported: (limit: Limit) => void;
}

interface Declared<Context, Key> {
  readonly level: PolicyLevel<Context, Key>;
  readonly declaration: PolicyDeclaration<Context, Key>;
  readonly items: readonly RateLimitItem[];
  readonly strategy: StrategyName;
}

const OPTIONS = ['limits', 'name', 'strategy', 'burst', 'key', 'cost', 'scope', 'skip'];
const DEFAULT_NAME = 'default';

/**
 * Compiles what is declared for a route. Per name, an inner level replaces an outer one; different names add up.
 *
 * @throws ConfigurationError naming the place of the declaration and the mend
 */
export function compilePolicies<Context, Key>(
  compilation: PolicyCompilation<Context, Key>,
): Policy<Context, Key>[] {
  const policies: Policy<Context, Key>[] = [];
  for (const [name, declared] of combine(compilation)) {
    const nameOf = limitNames(name, declared);
    for (const one of declared) {
      policies.push(at(one.level.where, () => compilePolicy(compilation, name, one, nameOf)));
    }
  }
  return policies;
}

/** The declarations that hold in the end, by policy name. */
function combine<Context, Key>(
  compilation: PolicyCompilation<Context, Key>,
): Map<string, Declared<Context, Key>[]> {
  const byName = new Map<string, Declared<Context, Key>[]>();
  for (const level of compilation.levels) {
    const own = new Map<string, Declared<Context, Key>[]>();
    for (const declaration of level.declarations) {
      at(level.where, () => {
        assertOptions(declaration);
        const { name = DEFAULT_NAME, strategy = compilation.defaultStrategy } = declaration;
        const items = itemsOf(declaration.limits);
        own.set(name, [...(own.get(name) ?? []), { level, declaration, items, strategy }]);
      });
    }
    for (const [name, declared] of own) byName.set(name, declared);
    at(level.where, () => skip(byName, level.skips));
  }
  return byName;
}

function skip(byName: Map<string, unknown>, skips: 'all' | readonly string[]): void {
  if (skips === 'all') {
    byName.clear();
    return;
  }
  const known = [...byName.keys()];
  for (const name of skips) {
    if (!byName.delete(name)) {
      throw new ConfigurationError(
        `@SkipRateLimit names the policy "${name}", which does not apply there. ` +
          (known.length > 0 ? `Policies that do: ${known.join(', ')}.` : 'No policy does.'),
      );
    }
  }
}

/** What each limit of a policy is called: as the policy, told apart by unit where it has several. */
function limitNames<Context, Key>(
  name: string,
  declared: readonly Declared<Context, Key>[],
): (item: RateLimitItem, strategy: StrategyName) => string {
  const all = declared.flatMap(({ items, strategy, level }) =>
    items.map((item) => ({ item, strategy, level })),
  );
  const seen = new Set<string>();
  for (const { item, strategy, level } of all) {
    const cell = `${item.period}:${strategy}`;
    if (seen.has(cell)) {
      throw new ConfigurationError(
        `${level.where}: the policy "${name}" has two limits per ${windowOf(item)} with the strategy "${strategy}", which would ` +
          'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
      );
    }
    seen.add(cell);
  }
  const isAmbiguous = (unit: string): boolean => all.filter(({ item }) => windowOf(item) === unit).length > 1;
  return (item, strategy) => {
    if (all.length === 1) return name;
    const unit = windowOf(item);
    return `${name}/${unit}${isAmbiguous(unit) ? `/${strategy}` : ''}`;
  };
}

function windowOf({ multiples, granularity }: RateLimitItem): string {
  return multiples === 1 ? granularity.name : `${multiples}-${granularity.name}`;
}

function compilePolicy<Context, Key>(
  { scopes, assertSupported }: PolicyCompilation<Context, Key>,
  name: string,
  { level, declaration, items, strategy }: Declared<Context, Key>,
  nameOf: (item: RateLimitItem, strategy: StrategyName) => string,
): Policy<Context, Key> {
  const { key, cost = 1, skip: skipIf, burst } = declaration;
  const scope = scopeId(declaration.scope ?? level.scope, scopes);
  if (burst !== undefined && items.length > 1) {
    throw new ConfigurationError(
      'A burst needs a single limit. Declare each limit with its own burst and name.',
    );
  }
  const limits = items.map((item) => {
    const { amount, period } = item;
    const id = `${name}@${scope}:${period}:${strategy}`;
    const limit = createLimit({ id, name: nameOf(item, strategy), strategy, amount, period, burst });
    assertSupported(limit);
    return limit;
  });
  return Object.freeze({ name, where: level.where, limits: Object.freeze(limits), key, cost, skip: skipIf });
}

function scopeId(scope: string, scopes: { readonly route: string; readonly controller: string }): string {
  switch (scope) {
    case 'route':
      return `route ${scopes.route}`;
    case 'controller':
      return `controller ${scopes.controller}`;
    case 'global':
      return 'global';
    default:
      return `shared ${scope}`;
  }
}

function assertOptions<Context, Key>(declaration: PolicyDeclaration<Context, Key>): void {
  assertKnownOptions('A rate limit', declaration, OPTIONS, {
    storage: 'The storage is an option of RateLimitModule.forRoot.',
    limit: 'Give the limits as "limits".',
  });
  const { name, key, cost, scope, skip: skipIf } = declaration;
  if (name !== undefined && !(typeof name === 'string' && /^[A-Za-z][\w.-]*$/.test(name))) {
    throw new ConfigurationError(
      `The name of a policy must begin with a letter and hold letters, digits, "_", "." and "-" only; got ${describeValue(name)}.`,
    );
  }
  if (scope !== undefined && (typeof scope !== 'string' || scope === '')) {
    throw new ConfigurationError(
      `The scope must be "route", "controller", "global" or another non-empty name; got ${describeValue(scope)}.`,
    );
  }
  if (cost !== undefined && typeof cost !== 'function') assertCost(cost);
  assertFunction('key', key);
  assertFunction('skip', skipIf);
}

function assertFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new ConfigurationError(`The option "${option}" must be a function; got ${describeValue(value)}.`);
  }
}

/** Runs a step of the compilation so that what it throws says where the mistake is. */
function at<T>(where: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new ConfigurationError(`${where}: ${messageOf(cause)}`, { cause });
  }
}
