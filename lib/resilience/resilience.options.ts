import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import {
  assertBoolean,
  assertKnownOptions,
  assertOneOf,
  assertOptionsObject,
  assertWholeNumber,
  withoutUndefined,
  type Given,
} from '../common/options.js';
import { ON_ERROR, type OnError } from '../core/contract.js';

/** Permits that a process takes in advance. */
export interface LeaseOptions {
  /** Permits per lease, 2 or more; `'auto'` for as many as an identity needs in a tenth of a second. Default: `'auto'`. */
  size?: number | 'auto' | undefined;
  /**
   * The share of a limit, above 0 and up to 1, that all processes together may hold in advance: by so much may a token bucket be
   * exceeded, or a hit be refused too early. Default: 0.05.
   */
  maxError?: number | undefined;
}

/** What happens while a remote store does not answer. */
export interface ResilienceOptions {
  /** Ms that a decision may take. Default: 50. */
  timeout?: number | undefined;
  /**
   * What becomes of hits that the store cannot decide: `'allow'` lets them pass, `'deny'` fails them (503 on HTTP), `'fallback'`
   * has this process count them alone. Default: `'fallback'`.
   */
  onError?: OnError | undefined;
  /** Over how many processes a limit is spread: in fallback each counts its share. Default: 1. */
  instances?: number | undefined;
  /**
   * Failures, in a row or within `failureWindow`, after which the store is probed. If the probe fails, the store is not called
   * until one succeeds. Default: 5.
   */
  failureThreshold?: number | undefined;
  /** Window for `failureThreshold` in ms. Default: 10,000. */
  failureWindow?: number | undefined;
  /** Ms between probes, about. Default: 500. */
  probeInterval?: number | undefined;
  /** Whether refusals are remembered for up to two seconds instead of asking the store again. Default: true. */
  denialCache?: boolean | undefined;
  /**
   * Permits for identities that hit often, taken from the store several at a time, so that most hits need no call. Only for hits on
   * one limit that is a fixed window or a token bucket. Default: none.
   */
  lease?: LeaseOptions | false | undefined;
  /** Whether the application starts while the store does not answer. Default: true. */
  startWithoutStore?: boolean | undefined;
}

export interface ResolvedResilience extends Readonly<Required<Given<Omit<ResilienceOptions, 'lease'>>>> {
  readonly lease: Readonly<Required<Given<LeaseOptions>>> | false;
}

const DEFAULTS: ResolvedResilience = {
  timeout: 50,
  onError: 'fallback',
  instances: 1,
  failureThreshold: 5,
  failureWindow: 10_000,
  probeInterval: 500,
  denialCache: true,
  lease: false,
  startWithoutStore: true,
};

/** Ms: an hour, and within what timers can hold. */
const MAX_DURATION_MS = 3_600_000;

/**
 * Validates and completes the options; `false` for nothing of it.
 *
 * @throws ConfigurationError naming the option and the mend
 */
export function resolveResilience(options: ResilienceOptions | false = {}): ResolvedResilience | false {
  if (options === false) return false;
  const where = 'The option "resilience"';
  assertOptionsObject(where, options);
  assertKnownOptions(where, options, Object.keys(DEFAULTS));
  const resolved = { ...DEFAULTS, ...withoutUndefined(options), lease: resolveLease(options.lease) };
  for (const option of [
    'timeout',
    'instances',
    'failureThreshold',
    'failureWindow',
    'probeInterval',
  ] as const)
    assertWholeNumber(`The option "resilience.${option}"`, resolved[option], 1);
  for (const option of ['timeout', 'failureWindow', 'probeInterval'] as const)
    if (resolved[option] > MAX_DURATION_MS)
      throw new ConfigurationError(
        `The option "resilience.${option}" must be at most ${MAX_DURATION_MS} ms; got ${describeValue(resolved[option])}.`,
      );
  for (const option of ['denialCache', 'startWithoutStore'] as const)
    assertBoolean(`The option "resilience.${option}"`, resolved[option]);
  assertOneOf('The option "resilience.onError"', resolved.onError, ON_ERROR);
  return Object.freeze(resolved);
}

const LEASE: Required<Given<LeaseOptions>> = { size: 'auto', maxError: 0.05 };

function resolveLease(options: LeaseOptions | false = false): ResolvedResilience['lease'] {
  if (options === false) return false;
  const where = 'The option "resilience.lease"';
  assertOptionsObject(where, options);
  assertKnownOptions(where, options, Object.keys(LEASE));
  const { size = LEASE.size, maxError = LEASE.maxError } = options;
  if (size !== 'auto') assertWholeNumber('The option "resilience.lease.size", if not "auto",', size, 2);
  if (typeof maxError !== 'number' || !(maxError > 0 && maxError <= 1))
    throw new ConfigurationError(
      `The option "resilience.lease.maxError" must be a number above 0 and up to 1, such as 0.05 for 5 %; got ${describeValue(maxError)}.`,
    );
  return Object.freeze({ size, maxError });
}
