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

/** Options of leases: permits that a process takes from the store in advance. */
export interface LeaseOptions {
  /**
   * Permits per lease, 2 or more; `'auto'` for the demand of an identity in 100 ms, often none.
   *
   * @default 'auto'
   */
  size?: number | 'auto' | undefined;
  /**
   * Maximum share of a limit, above 0 and up to 1, that all processes together may hold in
   * advance. A lease is at most `1 + maxError × amount / instances`.
   *
   * A token bucket may be exceeded by that share, and hits may be refused too early by it.
   *
   * @default 0.05
   */
  maxError?: number | undefined;
}

/** Behaviour while a remote store does not respond. */
export interface ResilienceOptions {
  /**
   * Timeout of a decision, in ms: the longest wait of a request in each phase while the store
   * stalls.
   *
   * @default 50
   */
  timeout?: number | undefined;
  /**
   * Handling of hits that the store cannot decide: `'allow'` allows them, `'deny'` fails them
   * (503 on HTTP), `'fallback'` counts them in this process.
   *
   * @default 'fallback'
   */
  onError?: OnError | undefined;
  /**
   * Number of processes that share a limit. In fallback, each allows its share.
   *
   * @default 1
   */
  instances?: number | undefined;
  /**
   * Failures, in a row or within `failureWindow`, after which the store is probed.
   *
   * If the probe fails, the circuit breaker opens until a probe succeeds.
   *
   * @default 5
   */
  failureThreshold?: number | undefined;
  /**
   * Window for `failureThreshold`, in ms, at most an hour.
   *
   * @default 10_000
   */
  failureWindow?: number | undefined;
  /**
   * Mean time between probes in ms; each is jittered by up to half of it.
   *
   * @default 500
   */
  probeInterval?: number | undefined;
  /**
   * True to cache refusals for up to two seconds.
   *
   * @default true
   */
  denialCache?: boolean | undefined;
  /**
   * Takes several permits at a time for identities that hit often, so that most hits need no call
   * of the store.
   *
   * Only for hits on a single fixed window or token bucket.
   *
   * @default false
   * @see docs/permits-in-advance.md
   */
  lease?: LeaseOptions | false | undefined;
  /**
   * True to start the application even if the store does not answer.
   *
   * @default true
   */
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
  failureThreshold: { check: assertCount, default: 5 },
  failureWindow: { check: assertDuration, default: 10_000 },
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
