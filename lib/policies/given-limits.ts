import { ConfigurationError } from '../common/errors.js';
import { checkedLater, readOptions, type OptionNaming, type OptionTable } from '../common/options.js';
import { UNLIMITED, type LimitInput } from '../notation/limit-input.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import type { BlockOption } from './block-option.js';
import type { WaitOption } from './wait-option.js';

/** The limits of a plan, or those that a function returns, with options that replace the policy's. */
export interface LimitsWithOptions {
  /** The limits; `'unlimited'` for none. */
  limits: LimitInput;
  /** Capacity of a token bucket, in units. Default: that of the policy, else the amount. */
  burst?: number | undefined;
  /** The block after a refusal. Default: that of the policy. */
  block?: BlockOption | undefined;
  /** The wait instead of a refusal. Default: that of the policy. */
  wait?: WaitOption | undefined;
}

/** Limits, alone or with options. */
export type GivenLimits = LimitInput | LimitsWithOptions;

const limitsOptions = {
  limits: checkedLater,
  burst: checkedLater,
  block: checkedLater,
  wait: checkedLater,
} as const satisfies OptionTable<LimitsWithOptions>;

const naming: OptionNaming = {
  owner: 'An object of limits',
  option: (name) => `The option "${name}"`,
};

/**
 * Returns limits with their options.
 *
 * @throws ConfigurationError for an unknown option, or without limits
 */
export function withOptions(given: GivenLimits): LimitsWithOptions {
  if (!hasOptions(given)) return { limits: given };
  const options = readOptions<LimitsWithOptions, typeof limitsOptions>(limitsOptions, given, naming);
  if ((options.limits as LimitInput | undefined) === undefined)
    throw new ConfigurationError(`An object of limits needs "limits": { limits: '10/minute', burst: 20 }.`);
  return options;
}

/** Returns true for limits that count nothing. */
export function areUnlimited(given: GivenLimits): boolean {
  return (hasOptions(given) ? given.limits : given) === UNLIMITED;
}

/** Returns a key that is equal for equal limits; `undefined` if items are among them. */
export function keyOfLimits(given: GivenLimits): string | undefined {
  const limits = hasOptions(given) ? given.limits : given;
  const isText = [limits as string | readonly (string | RateLimitItem)[]]
    .flat()
    .every((one) => typeof one === 'string');
  return isText ? JSON.stringify(given) : undefined;
}

function hasOptions(given: GivenLimits): given is LimitsWithOptions {
  return typeof given === 'object' && given !== null && !Array.isArray(given) && !('identityFor' in given);
}
