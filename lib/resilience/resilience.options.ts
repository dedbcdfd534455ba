import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import {
  assertBoolean,
  assertOptionsObject,
  assertWholeNumber,
  checkedLater,
  oneOf,
  readOptions,
  type Completed,
  type OptionTable,
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
  /** After how many failures in a row the store is left alone until it answers a probe. Default: 5. */
  failures?: number | undefined;
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

/** Longest duration of an option, in ms: an hour. */
const MAX_DURATION_MS = 3_600_000;

const leaseOptions = {
  size: { check: assertLeaseSize, default: 'auto' },
  maxError: { check: assertMaxError, default: 0.05 },
} as const satisfies OptionTable<LeaseOptions>;

const resilienceOptions = {
  timeout: { check: assertDuration, default: 50 },
  onError: { check: oneOf(ON_ERROR), default: 'fallback' },
  instances: { check: assertCount, default: 1 },
  failures: { check: assertCount, default: 5 },
  probeInterval: { check: assertDuration, default: 500 },
  denialCache: { check: assertBoolean, default: true },
  lease: checkedLater,
  startWithoutStore: { check: assertBoolean, default: true },
} as const satisfies OptionTable<ResilienceOptions>;

export interface ResolvedResilience extends Omit<
  Completed<ResilienceOptions, typeof resilienceOptions>,
  'lease'
> {
  readonly lease: Completed<LeaseOptions, typeof leaseOptions> | false;
}

/**
 * Validates the options and adds the defaults; `false` disables all of them.
 *
 * @throws ConfigurationError naming the option and the fix
 */
export function resolveResilience(given: ResilienceOptions | false = {}): ResolvedResilience | false {
  if (given === false) return false;
  const owner = 'The option "resilience"';
  assertOptionsObject(owner, given);
  const options = readOptions(resilienceOptions, given, {
    owner,
    option: (name) => `The option "resilience.${name}"`,
  });
  return Object.freeze({ ...options, lease: resolveLease(options.lease) });
}

function resolveLease(given: LeaseOptions | false = false): ResolvedResilience['lease'] {
  if (given === false) return false;
  const owner = 'The option "resilience.lease"';
  assertOptionsObject(owner, given);
  return Object.freeze(
    readOptions(leaseOptions, given, { owner, option: (name) => `The option "resilience.lease.${name}"` }),
  );
}

function assertCount(where: string, value: unknown): void {
  assertWholeNumber(where, value, 1);
}

function assertDuration(where: string, value: unknown): void {
  assertWholeNumber(where, value, 1);
  if (value > MAX_DURATION_MS)
    throw new ConfigurationError(
      `${where} must be at most ${MAX_DURATION_MS} ms; got ${describeValue(value)}.`,
    );
}

function assertLeaseSize(where: string, value: unknown): void {
  if (value !== 'auto') assertWholeNumber(`${where}, if not "auto",`, value, 2);
}

function assertMaxError(where: string, value: unknown): void {
  if (typeof value !== 'number' || !(value > 0 && value <= 1))
    throw new ConfigurationError(
      `${where} must be a number above 0 and up to 1, such as 0.05 for 5 %; got ${describeValue(value)}.`,
    );
}
