import { assertCost, ON_ERROR } from '../core/contract.js';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { assertKnownOptions, assertOneOf, assertOptionsObject } from '../common/options.js';
import { UNLIMITED, type PolicyDeclaration } from './policy.js';

export const POLICY_OPTIONS = [
  'limits',
  'name',
  'strategy',
  'burst',
  'key',
  'cost',
  'scope',
  'skip',
  'plans',
  'block',
  'mode',
  'phase',
  'count',
  'onError',
  'errorMessage',
] as const satisfies readonly (keyof PolicyDeclaration<unknown>)[];

/** What to say of options that are known elsewhere, or under another name. */
export const POLICY_HINTS = {
  storage: 'The storage is an option of RateLimitModule.forRoot.',
  limit: 'Give the limits as "limits".',
  rate: 'Give the limits as "limits".',
  identity: 'Give the identity as "key".',
};

/**
 * Refuses options of a policy that are unknown or of the wrong type. Strategy, burst, mode and block are the limit's to check.
 *
 * @throws ConfigurationError naming the option; RangeError for a cost
 */
export function assertPolicyOptions<Context, Key>(declaration: PolicyDeclaration<Context, Key>): void {
  assertKnownOptions('A rate limit', declaration, POLICY_OPTIONS, POLICY_HINTS);
  const { limits, plans, name, strategy, cost, scope, skip, phase, count, onError, errorMessage } =
    declaration;
  if (name !== undefined) assertName('name of a policy', name);
  if (strategy !== undefined && typeof strategy !== 'string')
    throw new ConfigurationError(
      `The strategy must be a name such as "fixed-window"; got ${describeValue(strategy)}.`,
    );
  if (scope !== undefined && (typeof scope !== 'string' || scope === '')) {
    throw new ConfigurationError(
      `The scope must be "route", "controller", "global" or another non-empty name; got ${describeValue(scope)}.`,
    );
  }
  if (plans !== undefined) {
    assertOptionsObject('The option "plans"', plans);
    if (Object.keys(plans).length === 0)
      throw new ConfigurationError('The option "plans" is empty. Name at least one plan.');
    if (limits === undefined && Object.values(plans).every((plan) => plan === UNLIMITED))
      throw new ConfigurationError(
        'Every one of the "plans" is unlimited. Give "limits" too, for whoever has none of them.',
      );
  } else if (limits === undefined) {
    throw new ConfigurationError('A rate limit needs "limits", such as "10/minute", or "plans".');
  }
  if (cost !== undefined && typeof cost !== 'function') assertCost(cost);
  assertFunction('skip', skip);
  if (phase !== undefined) assertOneOf('The option "phase"', phase, ['beforeAuth', 'afterAuth']);
  if (onError !== undefined) assertOneOf('The option "onError"', onError, ON_ERROR);
  if (count !== undefined && typeof count !== 'function')
    assertOneOf('The option "count"', count, ['all', 'failure', 'success']);
  if (errorMessage !== undefined && typeof errorMessage !== 'string' && typeof errorMessage !== 'function') {
    throw new ConfigurationError(
      `The option "errorMessage" must be a string or a function; got ${describeValue(errorMessage)}.`,
    );
  }
}

/** Characters of a name: a header field holds several. */
const MAX_NAME_LENGTH = 100;

/** Names go into header fields, where other characters would have to be escaped. */
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

function assertFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new ConfigurationError(`The option "${option}" must be a function; got ${describeValue(value)}.`);
  }
}
