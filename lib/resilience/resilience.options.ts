import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { assertKnownOptions, assertOptionsObject, assertWholeNumber } from '../common/options.js';
import { ON_ERROR, type OnError } from './on-error.js';

/** What happens while a remote store does not answer. */
export interface ResilienceOptions {
  /** Ms that a decision may take. Default: 50. */
  timeout?: number;
  /**
   * What becomes of hits that the store cannot decide: `'allow'` lets them pass, `'deny'` fails them (503 on HTTP), `'fallback'`
   * has this process count them alone. Default: `'fallback'`.
   */
  onError?: OnError;
  /** Over how many processes a limit is spread: in fallback each counts its share. Default: 1. */
  instances?: number;
  /** After how many failures in a row the store is left alone until it answers a probe. Default: 5. */
  failures?: number;
  /** Ms between probes, about. Default: 500. */
  probeInterval?: number;
  /** Whether refusals are remembered for up to two seconds instead of asking the store again. Default: true. */
  denialCache?: boolean;
  /** Whether the application starts while the store does not answer. Default: true. */
  startWithoutStore?: boolean;
}

export type ResolvedResilience = Readonly<Required<ResilienceOptions>>;

const DEFAULTS: ResolvedResilience = {
  timeout: 50,
  onError: 'fallback',
  instances: 1,
  failures: 5,
  probeInterval: 500,
  denialCache: true,
  startWithoutStore: true,
};

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
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const resolved = { ...DEFAULTS, ...given };
  for (const option of ['timeout', 'instances', 'failures', 'probeInterval'] as const)
    assertWholeNumber(`${where}.${option}`, resolved[option], 1);
  for (const option of ['denialCache', 'startWithoutStore'] as const)
    if (typeof resolved[option] !== 'boolean')
      throw new ConfigurationError(
        `${where}.${option} must be true or false; got ${describeValue(resolved[option])}.`,
      );
  assertOnError(`${where}.onError`, resolved.onError);
  return Object.freeze(resolved);
}

export function assertOnError(where: string, value: unknown): void {
  if (ON_ERROR.includes(value as OnError)) return;
  throw new ConfigurationError(
    `${where} must be "allow", "fallback" or "deny"; got ${describeValue(value)}.`,
  );
}
