import { ConfigurationError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import {
  assertBoolean,
  assertKnownOptions,
  assertOneOf,
  assertOptionsObject,
  withoutUndefined,
} from '../../common/options.js';
import { DEFAULT_IPV6_PREFIX } from '../../http/client-address.js';
import { resolveResilience, type ResolvedResilience } from '../../resilience/resilience.options.js';
import { isStrategyName, strategyNames } from '../../strategies/strategies.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { declarationOf } from './declaration.js';
import type { RateLimitKey } from './rate-limit-key.js';
import type {
  RateLimitDeclaration,
  RateLimitHeaders,
  RateLimitModuleExtras,
  RateLimitModuleOptions,
  RateLimitRule,
} from './rate-limit.options.js';
import { hideStorage } from './hidden-storage.js';
import { idOfUser } from './user-id.js';

/** The module's options, validated and completed. */
export interface ResolvedOptions extends Omit<RateLimitModuleOptions, 'limits' | 'headers' | 'resilience'> {
  readonly strategy: StrategyName;
  readonly limits: readonly RateLimitDeclaration[];
  readonly rules: readonly RateLimitRule[];
  readonly key: RateLimitKey;
  readonly user: NonNullable<RateLimitModuleOptions['user']>;
  readonly apiKeyHeader: string;
  readonly ipv6Prefix: number;
  readonly headers: Required<RateLimitHeaders>;
  readonly resilience: ResolvedResilience | false;
}

const OPTIONS = [
  'storage',
  'strategy',
  'limits',
  'rules',
  'key',
  'plan',
  'clientIp',
  'ipv6Prefix',
  'user',
  'apiKeyHeader',
  'allow',
  'deny',
  'transports',
  'resilience',
  'keyPrefix',
  'headers',
  'skip',
  'errorMessage',
  'errorFormat',
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
  const given = withoutUndefined<RateLimitModuleOptions>(options);
  const { strategy = 'fixed-window', errorMessage, errorFactory } = given;
  if (!isStrategyName(strategy)) {
    throw new ConfigurationError(
      `The strategy of RateLimitModule must be one of ${strategyNames.join(', ')}; got ${describeValue(strategy)}.`,
    );
  }
  for (const option of ['skip', 'errorFactory', 'plan', 'clientIp', 'user'] as const)
    assertType(option, given[option], 'function');
  assertType('errorMessage', errorMessage, 'string', 'function');
  for (const option of ['rules', 'allow', 'deny', 'transports'] as const) assertList(option, given[option]);
  const { ipv6Prefix = DEFAULT_IPV6_PREFIX, apiKeyHeader = 'x-api-key', errorFormat = 'nest' } = given;
  if (typeof apiKeyHeader !== 'string' || !/^[\w.-]+$/.test(apiKeyHeader))
    throw new ConfigurationError(
      `The option "apiKeyHeader" of RateLimitModule must be the name of a header; got ${describeValue(apiKeyHeader)}.`,
    );
  if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 32 || ipv6Prefix > 128)
    throw new ConfigurationError(
      `The option "ipv6Prefix" of RateLimitModule must be a whole number from 32 to 128; got ${describeValue(ipv6Prefix)}.`,
    );
  assertOneOf('The option "errorFormat" of RateLimitModule', errorFormat, ['nest', 'problem']);
  if (errorFactory !== undefined && (errorMessage !== undefined || given.errorFormat !== undefined)) {
    throw new ConfigurationError(
      'RateLimitModule takes errorFactory or errorMessage and errorFormat, not both: the factory makes the whole error.',
    );
  }
  return hideStorage({
    ...given,
    strategy,
    limits: resolveLimits(given.limits),
    rules: given.rules ?? [],
    key: given.key ?? 'ip',
    user: given.user ?? idOfUser,
    apiKeyHeader: apiKeyHeader.toLowerCase(),
    ipv6Prefix,
    headers: resolveHeaders(given.headers),
    resilience: resolveResilience(given.resilience),
  });
}

function resolveLimits(limits: RateLimitModuleOptions['limits']): readonly RateLimitDeclaration[] {
  if (limits === undefined) return [];
  return isDeclarations(limits)
    ? limits
    : [
        declarationOf(
          'The option "limits" of RateLimitModule',
          "with them into a list of declarations: [{ limits: '5/minute', name }]",
          limits,
        ),
      ];
}

function isDeclarations(
  limits: NonNullable<RateLimitModuleOptions['limits']>,
): limits is readonly RateLimitDeclaration[] {
  return (
    Array.isArray(limits) &&
    Array.from(limits as readonly unknown[]).every(
      (one) => typeof one === 'object' && one !== null && ('limits' in one || 'plans' in one),
    )
  );
}

function resolveHeaders(headers: RateLimitModuleOptions['headers']): Required<RateLimitHeaders> {
  if (headers === false) return { standard: false, legacy: false, retryAfter: false };
  assertOptionsObject('The option "headers" of RateLimitModule', headers ?? {});
  assertKnownOptions('The option "headers" of RateLimitModule', headers ?? {}, HEADERS);
  const { standard = true, legacy = false, retryAfter = true } = headers ?? {};
  const resolved = { standard, legacy, retryAfter };
  for (const [name, value] of Object.entries<unknown>(resolved))
    assertBoolean(`The option "headers.${name}" of RateLimitModule`, value);
  return resolved;
}

function assertType(option: string, value: unknown, ...types: string[]): void {
  if (value !== undefined && !types.includes(typeof value)) {
    throw new ConfigurationError(
      `The option "${option}" of RateLimitModule must be a ${types.join(' or a ')}; got ${describeValue(value)}.`,
    );
  }
}

function assertList(option: string, value: unknown): void {
  if (value !== undefined && !Array.isArray(value)) {
    throw new ConfigurationError(
      `The option "${option}" of RateLimitModule must be a list; got ${describeValue(value)}.`,
    );
  }
}

function hints(names: readonly string[], hint: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, hint]));
}
