import { assertCost, ON_ERROR } from '../core/contract.js';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import {
  assertOptionsObject,
  checkedLater,
  ofType,
  oneOf,
  readOptions,
  type Completed,
  type OptionCheck,
  type OptionTable,
} from '../common/options.js';
import { assertAnchor, assertTimeZone } from '../strategies/calendars.js';
import { assertBlock } from './block-option.js';
import { areUnlimited } from './given-limits.js';
import { assertWaitOption } from './wait-option.js';
import type { PolicyDeclaration } from './policy.js';

/** Also accepts a function, which is checked when it returns. */
export const orFunction =
  (check: OptionCheck): OptionCheck =>
  (where, value) =>
    typeof value === 'function' || check(where, value);

/** The options of a declaration. Limits, burst, mode and key are checked when they are compiled. */
export const policyOptions = {
  limits: checkedLater,
  name: { check: (_where, value) => assertName('name of a policy', value), default: 'default' },
  strategy: { check: assertStrategy },
  timeZone: { check: orFunction(assertTimeZone) },
  anchor: { check: orFunction(assertAnchor) },
  burst: checkedLater,
  hold: checkedLater,
  key: checkedLater,
  cost: { check: orFunction((_where, value) => assertCost(value)), default: 1 },
  actualCost: { check: ofType('function') },
  scope: { check: assertScope },
  skip: { check: ofType('function') },
  plans: { check: assertPlans },
  block: { check: assertBlock },
  wait: { check: assertWaitOption },
  mode: checkedLater,
  phase: { check: oneOf(['beforeAuth', 'afterAuth']), default: 'beforeAuth' },
  count: { check: orFunction(oneOf(['all', 'failure', 'success'])), default: 'all' },
  onError: { check: oneOf(ON_ERROR) },
  errorMessage: { check: ofType('string', 'function') },
  onRefused: { check: ofType('function') },
} as const satisfies OptionTable<PolicyDeclaration<never>>;

/** A declaration with its defaults. */
export type CompletedDeclaration<Context, Key> = Completed<
  PolicyDeclaration<Context, Key>,
  typeof policyOptions
>;

/** Messages about options that are known elsewhere, or under another name. */
export const POLICY_HINTS = {
  storage: 'The storage is an option of RateLimitModule.forRoot.',
  limit: 'Give the limits as "limits".',
  rate: 'Give the limits as "limits".',
  identity: 'Give the identity as "key".',
};

/**
 * Validates a declaration and adds the defaults.
 *
 * @throws ConfigurationError naming the option; RangeError for a cost
 */
export function readDeclaration<Context, Key>(
  declaration: PolicyDeclaration<Context, Key>,
): CompletedDeclaration<Context, Key> {
  const options: CompletedDeclaration<Context, Key> = readOptions(policyOptions, declaration, {
    owner: 'A rate limit',
    option: (name) => `The option "${name}"`,
    hints: POLICY_HINTS,
  });
  const { limits, plans, count, actualCost } = options;
  if (actualCost !== undefined && count !== 'all')
    throw new ConfigurationError(
      'A rate limit takes "count" or "actualCost", not both: a request that does not count has the actual cost 0.',
    );
  if (limits !== undefined) return options;
  if (plans === undefined)
    throw new ConfigurationError('A rate limit needs "limits", such as "10/minute", or "plans".');
  if (Object.values(plans).every(areUnlimited))
    throw new ConfigurationError(
      'Every one of the "plans" is unlimited. Give "limits" too, for requests without one of these plans.',
    );
  return options;
}

function assertStrategy(_where: string, value: unknown): void {
  if (typeof value !== 'string')
    throw new ConfigurationError(
      `The strategy must be a name such as "fixed-window"; got ${describeValue(value)}.`,
    );
}

function assertScope(_where: string, value: unknown): void {
  if (typeof value !== 'string' || value === '')
    throw new ConfigurationError(
      `The scope must be "route", "controller", "global" or another non-empty name; got ${describeValue(value)}.`,
    );
}

function assertPlans(where: string, value: unknown): void {
  assertOptionsObject(where, value);
  if (Object.keys(value).length === 0)
    throw new ConfigurationError('The option "plans" is empty. Name at least one plan.');
}

/** Longest name in characters, since a header field holds several names. */
const MAX_NAME_LENGTH = 100;

/** Throws for a name that would have to be escaped in a header field. */
export function assertName(what: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && /^[A-Za-z][\w.-]*$/.test(name)) {
    if (name.length <= MAX_NAME_LENGTH) return;
    throw new ConfigurationError(
      `The ${what} must have at most ${MAX_NAME_LENGTH} characters; got ${describeValue(name)}.`,
    );
  }
  throw new ConfigurationError(
    `The ${what} must begin with a letter and hold letters, digits, "_", "." and "-" only; got ${describeValue(name)}.`,
  );
}
