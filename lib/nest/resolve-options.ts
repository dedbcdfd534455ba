import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';
import { assertKnownOptions, assertOptionsObject } from '../common/options.js';
import { isStrategyName, strategyNames } from '../strategies/strategies.js';
import type { StrategyName } from '../strategies/strategy.js';
import type {
  RateLimitDeclaration,
  RateLimitHeaders,
  RateLimitModuleExtras,
  RateLimitModuleOptions,
} from './rate-limit.options.js';

/** The module's options, validated and completed. */
export interface ResolvedOptions extends Omit<RateLimitModuleOptions, 'limits' | 'headers'> {
  readonly strategy: StrategyName;
  readonly limits: readonly RateLimitDeclaration[];
  readonly headers: Required<RateLimitHeaders>;
}

const OPTIONS = [
  'storage',
  'strategy',
  'limits',
  'key',
  'keyPrefix',
  'headers',
  'skip',
  'errorMessage',
  'errorFactory',
] as const satisfies readonly (keyof RateLimitModuleOptions)[];

const EXTRAS = ['isGlobal', 'guard'] as const satisfies readonly (keyof RateLimitModuleExtras)[];
const ASYNC_OPTIONS = [
  'imports',
  'inject',
  'useFactory',
  'useClass',
  'useExisting',
  'provideInjectionTokensFrom',
  ...EXTRAS,
];
const HEADERS = ['standard', 'legacy', 'retryAfter'];

/** Refuses what `forRootAsync` does not take, above all options that belong into its factory. */
export function assertAsyncOptions(options: unknown): void {
  assertOptionsObject('The argument of RateLimitModule.forRootAsync', options);
  const insideFactory = hints(
    OPTIONS,
    'Return it from the factory: forRootAsync({ useFactory: () => ({ … }) }).',
  );
  assertKnownOptions('RateLimitModule.forRootAsync', options, ASYNC_OPTIONS, insideFactory);
  const given = withoutUndefined(options);
  const sources = ['useFactory', 'useClass', 'useExisting'].filter((name) => name in given);
  if (sources.length !== 1) {
    throw new ConfigurationError(
      `RateLimitModule.forRootAsync needs exactly one of useFactory, useClass and useExisting; got ${sources.join(' and ') || 'none'}.`,
    );
  }
}

/**
 * Validates and completes the module's options.
 *
 * @throws ConfigurationError naming the option and the mend
 */
export function resolveOptions(options: unknown): ResolvedOptions {
  assertOptionsObject('The options of RateLimitModule', options);
  const besideFactory = hints(
    EXTRAS,
    'It is given beside the factory: forRootAsync({ guard: false, useFactory }).',
  );
  assertKnownOptions('RateLimitModule', options, OPTIONS, besideFactory);
  const given = withoutUndefined(options as RateLimitModuleOptions);
  const { strategy = 'fixed-window', errorMessage, errorFactory } = given;
  if (!isStrategyName(strategy)) {
    throw new ConfigurationError(
      `The strategy of RateLimitModule must be one of ${strategyNames.join(', ')}; got ${describeValue(strategy)}.`,
    );
  }
  assertType('key', given.key, 'function');
  assertType('skip', given.skip, 'function');
  assertType('errorFactory', errorFactory, 'function');
  assertType('errorMessage', errorMessage, 'string', 'function');
  if (errorMessage !== undefined && errorFactory !== undefined) {
    throw new ConfigurationError(
      'RateLimitModule takes errorMessage or errorFactory, not both: the factory makes the message too.',
    );
  }
  return Object.freeze({
    ...given,
    strategy,
    limits: resolveLimits(given.limits),
    headers: resolveHeaders(given.headers),
  });
}

function resolveLimits(limits: RateLimitModuleOptions['limits']): readonly RateLimitDeclaration[] {
  if (limits === undefined) return [];
  return isDeclarations(limits) ? limits : [{ limits }];
}

function isDeclarations(
  limits: NonNullable<RateLimitModuleOptions['limits']>,
): limits is readonly RateLimitDeclaration[] {
  return (
    Array.isArray(limits) &&
    limits.every((one: unknown) => typeof one === 'object' && one !== null && 'limits' in one)
  );
}

function resolveHeaders(headers: RateLimitModuleOptions['headers']): Required<RateLimitHeaders> {
  if (headers === false) return { standard: false, legacy: false, retryAfter: false };
  assertOptionsObject('The option "headers" of RateLimitModule', headers ?? {});
  assertKnownOptions('The option "headers" of RateLimitModule', headers ?? {}, HEADERS);
  const { standard = true, legacy = false, retryAfter = true } = headers ?? {};
  return { standard, legacy, retryAfter };
}

function assertType(option: string, value: unknown, ...types: string[]): void {
  if (value !== undefined && !types.includes(typeof value)) {
    throw new ConfigurationError(
      `The option "${option}" of RateLimitModule must be a ${types.join(' or a ')}; got ${describeValue(value)}.`,
    );
  }
}

/** An option that is `undefined` counts as not given. */
function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function hints(names: readonly string[], hint: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, hint]));
}
