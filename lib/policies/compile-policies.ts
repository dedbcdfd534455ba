import { chain } from '../common/awaitable.js';
import { BoundedMap } from '../common/bounded-map.js';
import { ConfigurationError } from '../common/errors.js';
import { fingerprintOf } from '../common/fingerprint.js';
import { createLimit, type Limit } from '../core/limit.js';
import { declaredPolicies, withLocation, type DeclaredPolicy } from './declared-policies.js';
import { keyOfLimits, type GivenLimits } from './given-limits.js';
import { isSameWindow, nameLimits, type LimitDraft } from './limit-names.js';
import type { CompletedDeclaration } from './policy-options.js';
import type {
  CountFunction,
  Policy,
  PolicyCompilation,
  PolicyDeclaration,
  PolicySettlement,
} from './policy.js';

/** Capacity of the cache of limits that a function returns, in texts. */
const MAX_COMPILED_ANSWERS = 1000;

/**
 * Compiles the declarations for a route. Per name, an inner level replaces an outer one; different names add up.
 *
 * @throws ConfigurationError naming the place of the declaration and the fix
 */
export function compilePolicies<Context, Key>(
  compilation: PolicyCompilation<Context, Key>,
): Policy<Context, Key>[] {
  const { assertSupported } = compilation;
  return [...declaredPolicies(compilation).values()].flatMap((declared) =>
    declared.map((one) =>
      withLocation(one.where, () =>
        compilePolicy(
          one,
          declared.filter((other) => other !== one),
          assertSupported,
        ),
      ),
    ),
  );
}

/** @param others the other policies of the same name */
function compilePolicy<Context, Key>(
  { id, where, strategy, options, limits, plans, calendar, draft }: DeclaredPolicy<Context, Key>,
  others: readonly DeclaredPolicy<Context, Key>[],
  assertSupported: (limit: Limit) => void,
): Policy<Context, Key> {
  const { name } = options;
  const compile = (drafts: readonly LimitDraft[], sharedWith: readonly LimitDraft[]): readonly Limit[] => {
    const compiled = compileLimits(options, drafts, sharedWith);
    compiled.forEach(assertSupported);
    return Object.freeze(compiled);
  };
  const limitsOfOthers = others.flatMap((other) => other.limits);
  const compilePlan = (plan: string, drafts: readonly LimitDraft[]): readonly Limit[] =>
    compile(
      drafts,
      others.flatMap((other) => other.plans?.get(plan) ?? other.limits),
    );
  const compileAnswer = (given: GivenLimits): readonly Limit[] => {
    const drafts = draft(given);
    // A function may return a limit that is also declared: a request then counts once for both.
    const distinct = limitsOfOthers.filter((other) => !drafts.some((one) => isSameWindow(one, other)));
    return compile(drafts, distinct);
  };
  const compiled = {
    limits: compile(limits, limitsOfOthers),
    plans: plans && new Map([...plans].map(([plan, drafts]) => [plan, compilePlan(plan, drafts)] as const)),
  };
  return Object.freeze({
    id,
    name,
    where,
    strategy,
    mode: options.mode ?? 'enforce',
    ...compiled,
    ...foundLimits(options.limits, compileAnswer),
    calendar,
    key: options.key,
    cost: options.cost,
    skip: options.skip,
    phase: options.phase,
    settlement: settlementOf(options),
    onError: options.onError,
    errorMessage: options.errorMessage,
    onRefused: options.onRefused,
    fingerprint: fingerprintOfPolicy(id, options, compiled),
  });
}

/** Includes everything that changes what a policy counts, but not what a refusal looks like. */
function fingerprintOfPolicy<Context, Key>(
  id: string,
  { limits: given, cost, count, actualCost, phase, skip }: CompletedDeclaration<Context, Key>,
  { limits, plans }: Pick<Policy<Context, Key>, 'limits' | 'plans'>,
): string {
  const cells = (of: readonly Limit[]): unknown =>
    of.map(({ id: cell, amount, burst, mode, block, blockAfter }) => [
      cell,
      amount,
      burst,
      mode,
      block,
      blockAfter,
    ]);
  const byPlan = [...(plans ?? [])].map(([plan, of]) => [plan, cells(of)]);
  const limitsFor = typeof given === 'function' ? given : undefined;
  return fingerprintOf([id, cells(limits), byPlan, limitsFor, cost, count, actualCost, phase, skip]);
}

/** @param sharedWith the limits of other policies of the same name */
function compileLimits<Context, Key>(
  { name }: CompletedDeclaration<Context, Key>,
  drafts: readonly LimitDraft[],
  sharedWith: readonly LimitDraft[],
): Limit[] {
  const rates = drafts.filter(({ strategy }) => strategy !== 'concurrency');
  if (rates.length > 1 && rates.some(({ burst }) => burst !== undefined))
    throw new ConfigurationError(
      'A burst needs a single limit. Declare each limit with its own burst and name.',
    );
  return nameLimits(name, drafts, sharedWith).map(createLimit);
}

/** Compiles the limits that a function returns, and caches those that are given as texts. */
function foundLimits<Context>(
  limits: PolicyDeclaration<Context>['limits'],
  compile: (given: GivenLimits) => readonly Limit[],
): Pick<Policy<Context, unknown>, 'limitsFor' | 'compileLimits'> {
  if (typeof limits !== 'function') return { limitsFor: undefined, compileLimits: undefined };
  const compiled = new BoundedMap<readonly Limit[]>(MAX_COMPILED_ANSWERS);
  const compileLimits = (given: GivenLimits): readonly Limit[] => {
    const key = keyOfLimits(given);
    return key === undefined ? compile(given) : compiled.getOrMake(key, () => compile(given));
  };
  return { limitsFor: (context) => chain(limits(context), compileLimits), compileLimits };
}

/** Compiles `count` to an actual cost of 0 for requests that do not count. */
function settlementOf<Context>({
  count,
  actualCost,
}: CompletedDeclaration<Context, unknown>): PolicySettlement<Context> | undefined {
  if (actualCost !== undefined) return { option: 'actualCost', actualCost };
  const counts = countFunction(count);
  return (
    counts && {
      option: 'count',
      // Every attempt would be free if a client could give it up before its outcome is known.
      actualCost: (context, outcome) =>
        outcome.aborted === true
          ? undefined
          : chain(counts(context, outcome), (isCounted: unknown) => (isCounted === false ? 0 : undefined)),
    }
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
