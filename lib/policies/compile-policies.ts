import { chain } from '../common/awaitable.js';
import { describeValue, messageOf, quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { BoundedMap } from '../common/bounded-map.js';
import { itemsOf, type LimitInput } from '../notation/limit-input.js';
import { parseDuration } from '../notation/parse-duration.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import { createLimit, type Limit } from '../core/limit.js';
import type { StrategyName } from '../strategies/strategy.js';
import { isSameCell, LimitNames, type CountedItem } from './limit-names.js';
import { readDeclaration, type CompletedDeclaration } from './policy-options.js';
import {
  UNLIMITED,
  type CountFunction,
  type LimitsFunction,
  type Policy,
  type PolicyDeclaration,
  type PolicyLevel,
} from './policy.js';

/** What the compilation of a route's policies needs to know of the route and its module. */
export interface PolicyCompilation<Context, Key> {
  /** From the outermost level to the innermost: module, classes, handler. */
  readonly levels: readonly PolicyLevel<Context, Key>[];
  /** Ids of the route and of its controller, the same in every process. */
  readonly scopes: PolicyScopes;
  readonly defaultStrategy: StrategyName;
  /** Names of policies that do not stand on a level, so that a level may skip them all the same. */
  readonly otherNames?: readonly string[];
  /** Throws for a limit that the storage cannot keep. */
  readonly assertSupported: (limit: Limit) => void;
}

export interface PolicyScopes {
  readonly route: string;
  readonly controller: string;
}

/** How many different answers of a function that finds limits out are kept compiled. */
const MAX_COMPILED_ANSWERS = 1000;

/**
 * Compiles what is declared for a route. Per name, an inner level replaces an outer one; different names add up.
 *
 * @throws ConfigurationError naming the place of the declaration and the mend
 */
export function compilePolicies<Context, Key>(
  compilation: PolicyCompilation<Context, Key>,
): Policy<Context, Key>[] {
  return [...combine(compilation)].flatMap(([name, declared]) =>
    declared.map((one) =>
      withLocation(one.level.where, () =>
        compilePolicy(
          compilation,
          name,
          one,
          declared.filter((other) => other !== one),
        ),
      ),
    ),
  );
}

/** A declaration, and the level that it stands on. */
interface Declared<Context, Key> {
  readonly level: PolicyLevel<Context, Key>;
  readonly declaration: CompletedDeclaration<Context, Key>;
  readonly strategy: StrategyName;
  /** What applies to whoever has no plan of its own; none where a function finds it out. */
  readonly items: readonly CountedItem[];
}

/** The declarations that hold in the end, by policy name. */
function combine<Context, Key>({
  levels,
  defaultStrategy,
  otherNames = [],
}: PolicyCompilation<Context, Key>): Map<string, Declared<Context, Key>[]> {
  const byName = new Map<string, Declared<Context, Key>[]>();
  for (const level of levels) {
    const own = new Map<string, Declared<Context, Key>[]>();
    for (const given of level.declarations) {
      withLocation(level.where, () => {
        const declaration = readDeclaration(given);
        const { name, strategy = defaultStrategy } = declaration;
        const items = counted(itemsOfAnybody(declaration), strategy);
        own.set(name, [...(own.get(name) ?? []), { level, declaration, strategy, items }]);
      });
    }
    for (const [name, declared] of own) byName.set(name, declared);
    withLocation(level.where, () => skip(byName, level.skips, otherNames));
  }
  return byName;
}

function skip(
  byName: Map<string, unknown>,
  skips: 'all' | readonly string[],
  otherNames: readonly string[],
): void {
  if (skips === 'all') {
    byName.clear();
    return;
  }
  const known = [...byName.keys(), ...otherNames];
  for (const name of skips) {
    if (!byName.delete(name) && !otherNames.includes(name)) {
      throw new ConfigurationError(
        `@SkipRateLimit names ${typeof name === 'string' ? `the policy ${quote(name)}` : describeValue(name)}, which does not apply there. ` +
          (known.length > 0 ? `Policies that do: ${known.join(', ')}.` : 'No policy does.'),
      );
    }
  }
}

/** What of a declaration applies to whoever has a plan. */
function itemsUnder<Context, Key>(plan: string, declared: Declared<Context, Key>): readonly CountedItem[] {
  const { plans = {} } = declared.declaration;
  const input = Object.hasOwn(plans, plan) ? plans[plan] : undefined;
  return input === undefined ? declared.items : counted(itemsOrNone(input), declared.strategy);
}

function compilePolicy<Context, Key>(
  { scopes, assertSupported }: PolicyCompilation<Context, Key>,
  name: string,
  { level, declaration, items, strategy }: Declared<Context, Key>,
  /** What else is declared under the same name. */
  others: readonly Declared<Context, Key>[],
): Policy<Context, Key> {
  const { limits, plans, burst, mode, block, key, cost, skip: skipIf, phase, count } = declaration;
  const id = `${name}@${scopeId(declaration.scope ?? level.scope, scopes)}`;
  const durations = [block].flat().map(parseDuration);
  const compile = (own: readonly CountedItem[], beside: readonly CountedItem[]): readonly Limit[] => {
    if (burst !== undefined && own.length > 1) {
      throw new ConfigurationError(
        'A burst needs a single limit. Declare each limit with its own burst and name.',
      );
    }
    const names = new LimitNames(name, [...own, ...beside]);
    const compiled = own.map((one) => {
      const { amount, period } = one.item;
      const limit = createLimit({
        id: `${id}:${period}:${strategy}`,
        name: names.for(one),
        strategy,
        amount,
        period,
        burst,
        ...(mode === undefined ? {} : { mode }),
        block: durations,
        refundable: count !== 'all',
      });
      assertSupported(limit);
      return limit;
    });
    return Object.freeze(compiled);
  };
  const besideAnybody = others.flatMap((other) => other.items);
  const compilePlan = (input: LimitInput, plan: string): readonly Limit[] =>
    compile(
      counted(itemsOrNone(input), strategy),
      others.flatMap((other) => itemsUnder(plan, other)),
    );
  const compileAnswer = (input: LimitInput): readonly Limit[] => {
    const own = counted(itemsOrNone(input), strategy);
    // Where it finds what is declared beside it, too, they are one limit for a request, as others that share a count.
    return compile(
      own,
      besideAnybody.filter((other) => !own.some((one) => isSameCell(one, other))),
    );
  };
  return Object.freeze({
    id,
    name,
    where: level.where,
    limits: compile(items, besideAnybody),
    plans:
      plans &&
      new Map(Object.entries(plans).map(([plan, input]) => [plan, compilePlan(input, plan)] as const)),
    limitsFor: typeof limits === 'function' ? compiledAnswers(limits, compileAnswer) : undefined,
    key,
    cost,
    skip: skipIf,
    phase,
    count: countFunction(count),
    onError: declaration.onError,
    errorMessage: declaration.errorMessage,
  });
}

/** What applies to whoever has no plan that the policy knows: `limits`, or else the strictest of the plans. */
function itemsOfAnybody<Context, Key>({
  limits,
  plans = {},
}: PolicyDeclaration<Context, Key>): readonly RateLimitItem[] {
  if (typeof limits === 'function') return [];
  if (limits !== undefined) return itemsOf(limits);
  const limited = Object.values(plans)
    .map(itemsOrNone)
    .filter((items) => items.length > 0);
  return limited.sort((one, other) => rateOf(one) - rateOf(other))[0] ?? [];
}

/** Units per ms in the long run. */
function rateOf(items: readonly RateLimitItem[]): number {
  return Math.min(...items.map(({ amount, period }) => amount / period));
}

function itemsOrNone(input: LimitInput): readonly RateLimitItem[] {
  return input === UNLIMITED ? [] : itemsOf(input);
}

function counted(items: readonly RateLimitItem[], strategy: StrategyName): CountedItem[] {
  return items.map((item) => ({ item, strategy }));
}

/** A function's answers, compiled: those that are texts once only, as long as there are not too many different ones. */
function compiledAnswers<Context>(
  find: LimitsFunction<Context>,
  compile: (input: LimitInput) => readonly Limit[],
): Policy<Context, unknown>['limitsFor'] {
  const compiled = new BoundedMap<readonly Limit[]>(MAX_COMPILED_ANSWERS);
  return (context) =>
    chain(find(context), (input) =>
      typeof input === 'string' ? compiled.getOrMake(input, compile) : compile(input),
    );
}

function countFunction<Context>(
  count: CompletedDeclaration<Context, unknown>['count'],
): CountFunction<Context> | undefined {
  switch (count) {
    case 'all':
      return undefined;
    case 'success':
      return (_context, { success }) => success;
    case 'failure':
      return (_context, { success }) => !success;
    default:
      return count;
  }
}

function scopeId(scope: string, scopes: PolicyScopes): string {
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

/** Runs a step of the compilation so that what it throws says where the mistake is. */
function withLocation<T>(where: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new ConfigurationError(`${where}: ${messageOf(cause)}`, { cause });
  }
}
