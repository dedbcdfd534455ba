import { describeValue, messageOf } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import {
  assertBoolean,
  assertOptionsObject,
  checkedLater,
  readOptions,
  type Completed,
  type OptionEntry,
  type OptionTable,
} from '../common/options.js';
import { PathPattern } from './path-pattern.js';
import { assertName, POLICY_HINTS, policyOptions } from './policy-options.js';
import type { PathSegments } from './request-path.js';
import type { KeyFunction, PolicyDeclaration, PolicyLevel } from './policy.js';

/** Limits for all requests of some methods and paths, whatever route answers them, or none. */
export interface Rule<Context, Key = KeyFunction<Context>> extends PolicyDeclaration<Context, Key> {
  /**
   * Name of the rule, and of its limits if they have no `name`: a letter, then letters, digits, `_`,
   * `.` and `-`.
   */
  id: string;
  /**
   * `'GET'`, a list of methods, or `'*'` for all. `GET` includes `HEAD`.
   *
   * @default '*'
   */
  method?: string | readonly string[] | undefined;
  /**
   * Path of a request, global prefix and version included: `*` or `:name` is one segment, `**`
   * any number.
   */
  path: string;
  /**
   * Rules of a higher priority are tried first; of the same, the one with the more specific path.
   *
   * @default 0
   */
  priority?: number | undefined;
  /**
   * True to try further rules when this one matches.
   *
   * @default false
   */
  continue?: boolean | undefined;
}

/** The options of a rule. Those of its policy are checked when it is compiled. */
const ruleOptions = {
  id: checkedLater,
  method: checkedLater,
  path: checkedLater,
  priority: { check: assertPriority, default: 0 },
  continue: { check: assertBoolean, default: false },
  ...checkedByCompiler(policyOptions),
} as const satisfies OptionTable<Rule<never>>;

type CompletedRule<Context, Key> = Completed<Rule<Context, Key>, typeof ruleOptions>;

/** A rule, ready to be matched; `P` is what its limits were compiled to. */
export interface CompiledRule<P> {
  readonly id: string;
  readonly path: PathPattern;
  /** In capitals; absent for all. */
  readonly methods: ReadonlySet<string> | undefined;
  readonly priority: number;
  /** Whether further rules are tried. */
  readonly continues: boolean;
  /** The policies; with the scope `'route'`, an example of those that {@link policiesOf} returns, which counts nothing. */
  readonly policies: readonly P[];
  /** Whether each route counts apart. */
  readonly isPerRoute: boolean;
  /** Returns the policies for a request to a route. Without a route, a rule with the scope `'route'` has none. */
  policiesOf(routeId: string | undefined): readonly P[];
}

/** A rule that may apply to a route. */
export interface RuleOfRoute<P> {
  readonly rule: CompiledRule<P>;
  /** Whether it applies to all of the route's requests. */
  readonly always: boolean;
}

/** The rules of a module in the order in which they are tried. */
export class RuleBook<Context, Key, P> {
  /** Ready to be matched, in the order in which they are tried. */
  readonly compiled: readonly CompiledRule<P>[];

  /**
   * @param compile compiles what a rule declares
   * @throws ConfigurationError naming the rule that is wrong
   */
  constructor(
    readonly rules: readonly Rule<Context, Key>[],
    compile: (level: PolicyLevel<Context, Key>) => readonly P[],
  ) {
    const completed = Array.from(rules, readRule); // unlike map, Array.from visits holes
    const ids = new Set<string>();
    for (const { id } of completed) {
      if (ids.has(id))
        throw new ConfigurationError(`There are two rules "${id}". Give each an id of its own.`);
      ids.add(id);
    }
    this.compiled = completed
      .map((rule) => compileRule(rule, compile))
      .sort((one, other) => other.priority - one.priority || one.path.compareTo(other.path));
  }

  /**
   * The rules that apply to a route, or may, in the order in which they are tried.
   *
   * @param method in capitals
   * @param template the path as Express or Fastify have it
   */
  forRoute(method: string, template: string): RuleOfRoute<P>[] {
    const found: RuleOfRoute<P>[] = [];
    for (const rule of this.compiled) {
      const matches = answers(rule, method) ? rule.path.matchesOf(template) : 'none';
      if (matches === 'none') continue;
      const always = matches === 'all';
      found.push({ rule, always });
      if (always && !rule.continues) break;
    }
    return found;
  }

  /**
   * Returns the policies of the rules that apply to a request.
   *
   * @param routeId the route that it has reached
   */
  forRequest(method: string, path: PathSegments, routeId?: string): readonly P[] {
    const policies: P[] = [];
    for (const rule of this.compiled) {
      if (!answers(rule, method) || !rule.path.matches(path)) continue;
      policies.push(...rule.policiesOf(routeId));
      if (!rule.continues) break;
    }
    return policies;
  }

  /** The rules that apply to every request that a rule applies to, as far as that can be told. */
  beside(rule: CompiledRule<P>): CompiledRule<P>[] {
    const found: CompiledRule<P>[] = [];
    let isPast = false;
    for (const other of this.compiled) {
      if (other === rule) isPast = true;
      else if (coversRule(other, rule)) found.push(other);
      if (isPast && !other.continues) break;
    }
    return found;
  }
}

/** Returns the policies of the rules of a route that apply to one of its requests. */
export function policiesFor<P>(
  rules: readonly RuleOfRoute<P>[],
  path: PathSegments,
  routeId?: string,
): readonly P[] {
  const policies: P[] = [];
  for (const { rule, always } of rules) {
    if (!always && !rule.path.matches(path)) continue;
    policies.push(...rule.policiesOf(routeId));
    if (!rule.continues) break;
  }
  return policies;
}

function compileRule<Context, Key, P>(
  { id, method, path, priority, continue: continues, scope, ...declaration }: CompletedRule<Context, Key>,
  compile: (level: PolicyLevel<Context, Key>) => readonly P[],
): CompiledRule<P> {
  const where = `The rule "${id}"`;
  const isPerRoute = scope === 'route';
  const declared = { ...declaration, name: declaration.name ?? id, ...(isPerRoute ? {} : { scope }) };
  const compileIn = (own: string): readonly P[] =>
    compile({ where, scope: own, declarations: [declared], skips: [] });
  const policies = compileIn(`rule ${id}`);
  const byRoute = new Map<string, readonly P[]>();
  return {
    id,
    path: patternOf(where, path),
    methods: methodsOf(where, method),
    priority,
    continues,
    policies,
    isPerRoute,
    policiesOf(routeId) {
      if (!isPerRoute) return policies;
      if (routeId === undefined) return [];
      const known = byRoute.get(routeId) ?? compileIn(`rule ${id} ${routeId}`);
      byRoute.set(routeId, known);
      return known;
    },
  };
}

function answers(
  { methods }: { readonly methods: ReadonlySet<string> | undefined },
  method: string,
): boolean {
  return methods === undefined || methods.has(method);
}

function coversRule<P>(rule: CompiledRule<P>, other: CompiledRule<P>): boolean {
  const methods = [...(other.methods ?? ['*'])];
  return methods.every((method) => answers(rule, method)) && rule.path.covers(other.path);
}

/** The options of another table, without its checks and defaults. */
function checkedByCompiler<Name extends string>(
  table: Readonly<Record<Name, unknown>>,
): Readonly<Record<Name, OptionEntry<never>>> {
  const entries = Object.keys(table).map((name) => [name, checkedLater]);
  return Object.fromEntries(entries) as Record<Name, OptionEntry<never>>;
}

function readRule<Context, Key>(rule: Rule<Context, Key>, index: number): CompletedRule<Context, Key> {
  assertOptionsObject(`The rule at ${index}`, rule);
  assertName(`id of the rule at ${index}`, rule.id);
  const where = `The rule "${rule.id}"`;
  const options: CompletedRule<Context, Key> = readOptions(ruleOptions, rule, {
    owner: where,
    option: (name) => `${where}: "${name}"`,
    hints: POLICY_HINTS,
  });
  if (options.scope === 'controller')
    throw new ConfigurationError(
      `${where}: a rule has no controller. Its scope is "route", "global" or another name; by default all it matches share one count.`,
    );
  return options;
}

function assertPriority(where: string, value: unknown): void {
  if (!Number.isFinite(value))
    throw new ConfigurationError(`${where} must be a number; got ${describeValue(value)}.`);
}

function patternOf(where: string, path: string): PathPattern {
  try {
    return new PathPattern(path);
  } catch (cause) {
    throw new ConfigurationError(`${where}: ${messageOf(cause)}`, { cause });
  }
}

function methodsOf(where: string, method: Rule<unknown>['method'] = '*'): ReadonlySet<string> | undefined {
  const given = [method].flat();
  const wrong = given.findIndex((one) => typeof one !== 'string' || !/^(\*|[A-Za-z-]+)$/.test(one));
  if (given.length === 0 || wrong >= 0)
    throw new ConfigurationError(
      `${where}: a method is "GET", "POST" or another, or "*" for all; got ${given.length === 0 ? 'none' : describeValue(given[wrong])}.`,
    );
  if (given.includes('*')) return undefined;
  const methods = new Set(given.map((one) => one.toUpperCase()));
  if (methods.has('GET')) methods.add('HEAD');
  return methods;
}
