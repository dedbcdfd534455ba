import { describeValue, messageOf, quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { assertCanWait } from '../core/limit.js';
import type { StrategyName } from '../strategies/strategy.js';
import { blockOf } from './block-option.js';
import type { GivenLimits } from './given-limits.js';
import { assertSlotOptions, limitDrafter } from './limit-drafts.js';
import type { LimitDraft } from './limit-names.js';
import { readDeclaration, type CompletedDeclaration } from './policy-options.js';
import { waitOf } from './wait-option.js';
import type {
  CalendarSource,
  Policy,
  PolicyCompilation,
  PolicyDeclaration,
  PolicyLevel,
  PolicyScopes,
} from './policy.js';

/** A valid declaration, before the limits of its policy are named. */
export interface DeclaredPolicy<Context, Key> {
  /** Identifies the policy, the same in every process: its name and scope. */
  readonly id: string;
  readonly where: string;
  readonly strategy: StrategyName;
  readonly options: CompletedDeclaration<Context, Key>;
  /** The limits of a request without a plan; empty if a function returns them. */
  readonly limits: readonly LimitDraft[];
  /** The limits of each plan. */
  readonly plans: ReadonlyMap<string, readonly LimitDraft[]> | undefined;
  readonly calendar: Policy<Context, Key>['calendar'];
  /** Drafts limits that a function returned. */
  readonly draft: (given: GivenLimits) => readonly LimitDraft[];
}

/**
 * Returns the declarations that apply to a route, by the name of their policy. Per name, an inner level replaces an outer one.
 *
 * @throws ConfigurationError naming the place of the declaration and the fix
 */
export function declaredPolicies<Context, Key>(
  compilation: PolicyCompilation<Context, Key>,
): Map<string, DeclaredPolicy<Context, Key>[]> {
  const byName = new Map<string, DeclaredPolicy<Context, Key>[]>();
  for (const level of compilation.levels) {
    const own = new Map<string, DeclaredPolicy<Context, Key>[]>();
    withLocation(level.where, () => {
      for (const declaration of level.declarations) {
        const declared = declare(compilation, level, declaration);
        const { name } = declared.options;
        own.set(name, [...(own.get(name) ?? []), declared]);
      }
    });
    for (const [name, declared] of own) byName.set(name, declared);
    withLocation(level.where, () => skip(byName, level.skips, compilation.otherNames ?? []));
  }
  return byName;
}

/** Runs a step of the compilation and puts the place of the declaration in front of the message of an error. */
export function withLocation<T>(where: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new ConfigurationError(`${where}: ${messageOf(cause)}`, { cause });
  }
}

function declare<Context, Key>(
  {
    scopes,
    defaultStrategy,
    defaultCalendar,
    defaultBlock = [],
    defaultWait = false,
  }: PolicyCompilation<Context, Key>,
  level: PolicyLevel<Context, Key>,
  declaration: PolicyDeclaration<Context, Key>,
): DeclaredPolicy<Context, Key> {
  const options = readDeclaration(declaration);
  const { name, strategy = defaultStrategy, scope = level.scope, plans } = options;
  const id = `${name}@${scopeId(scope, scopes)}`;
  const calendar = strategy === 'calendar-window' ? { ...defaultCalendar, ...options } : undefined;
  if (calendar === undefined) assertNoCalendar(options, strategy);
  if (strategy === 'concurrency')
    throw new ConfigurationError(
      'The strategy "concurrency" is not for rates. Limit concurrent requests by the notation: "5 concurrent".',
    );
  assertSlotOptions(options);
  const block = options.block ?? defaultBlock;
  const wait = options.wait ?? defaultWait;
  const draft = limitDrafter({ id, where: level.where, strategy, options, calendar, block, wait });
  // What a function returns is compiled at a request.
  if (typeof options.limits === 'function' && waitOf(wait) !== undefined)
    assertCanWait('The wait', strategy, blockOf(block, 1).block);
  return {
    id,
    where: level.where,
    strategy,
    options,
    limits: withoutPlan(options, draft),
    plans: plans && new Map(Object.entries(plans).map(([plan, input]) => [plan, draft(input)] as const)),
    calendar: calendar && calendarFunctions(calendar),
    draft,
  };
}

function assertNoCalendar({ timeZone, anchor }: CalendarSource<never>, strategy: string): void {
  if (timeZone === undefined && anchor === undefined) return;
  throw new ConfigurationError(
    `The option "${timeZone === undefined ? 'anchor' : 'timeZone'}" is for the strategy "calendar-window" only, not for ${quote(strategy)}.`,
  );
}

function calendarFunctions<Context, Key>({
  timeZone,
  anchor,
}: CalendarSource<Context>): Policy<Context, Key>['calendar'] {
  if (typeof timeZone !== 'function' && typeof anchor !== 'function') return undefined;
  return {
    timeZone: typeof timeZone === 'function' ? timeZone : undefined,
    anchor: typeof anchor === 'function' ? anchor : undefined,
  };
}

/** Returns the limits of a request without a plan that the policy knows: `limits`, or else the strictest of the plans. */
function withoutPlan<Context, Key>(
  { limits, plans = {} }: PolicyDeclaration<Context, Key>,
  draft: (given: GivenLimits) => LimitDraft[],
): readonly LimitDraft[] {
  if (typeof limits === 'function') return [];
  if (limits !== undefined) return draft(limits);
  const limited = Object.values(plans)
    .map(draft)
    .filter((drafts) => drafts.length > 0);
  return limited.sort((one, other) => rateOf(one) - rateOf(other))[0] ?? [];
}

/** Units per ms in the long run, or slots per hold if that is all. */
function rateOf(drafts: readonly LimitDraft[]): number {
  const rates = drafts.filter(({ strategy }) => strategy !== 'concurrency');
  return Math.min(...(rates.length > 0 ? rates : drafts).map(({ amount, period }) => amount / period));
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
