import { ConfigurationError } from '../../common/errors.js';
import { hideContents } from '../../common/inspection.js';
import {
  assertKnownOptions,
  assertOptionsObject,
  readOptions,
  withoutUndefined,
  type Completed,
  type OptionNaming,
} from '../../common/options.js';
import { resolveResilience, type ResolvedResilience } from '../../resilience/resilience.options.js';
import { declarationOf } from './declaration.js';
import type { LegacyHeaders } from '../../http/header-fields.js';
import {
  extraOptions,
  headerOptions,
  legacyOptions,
  moduleOptions,
  settingsOptions,
} from './module-options.js';
import { throttlerLimits } from './throttler-form.js';
import type {
  RateLimitDeclaration,
  RateLimitHeaders,
  RateLimitModuleExtras,
  RateLimitModuleOptions,
  RateLimitSettings,
} from './rate-limit.options.js';

/** The module's options, validated and with defaults. */
export interface ResolvedOptions extends Omit<
  Completed<RateLimitModuleOptions, typeof moduleOptions>,
  'limits' | 'headers' | 'resilience' | 'settings'
> {
  readonly limits: readonly RateLimitDeclaration[];
  readonly headers: Omit<Completed<RateLimitHeaders, typeof headerOptions>, 'legacy'> & {
    readonly legacy: LegacyHeaders | false;
  };
  readonly resilience: ResolvedResilience | false;
  readonly settings: Completed<RateLimitSettings, typeof settingsOptions>;
}

const naming: OptionNaming = {
  owner: 'RateLimitModule',
  option: (name) => `The option "${name}" of RateLimitModule`,
};

const ASYNC_OPTIONS = [
  'imports',
  'inject',
  'useFactory',
  'useClass',
  'useExisting',
  'provideInjectionTokensFrom',
  ...Object.keys(extraOptions),
];

const NO_HEADERS: ResolvedOptions['headers'] = {
  standard: false,
  legacy: false,
  retryAfter: false,
  graphql: false,
};

/**
 * Validates the argument of `forRootAsync`.
 *
 * @throws ConfigurationError for an option that belongs into what the factory returns, or without a
 * factory
 */
export function assertAsyncOptions(options: unknown): void {
  assertOptionsObject('The argument of RateLimitModule.forRootAsync', options);
  assertKnownOptions(
    'RateLimitModule.forRootAsync',
    options,
    ASYNC_OPTIONS,
    hints(moduleOptions, 'Return it from the factory: forRootAsync({ useFactory: () => ({ … }) }).'),
  );
  const given = withoutUndefined(options);
  const sources = ['useFactory', 'useClass', 'useExisting'].filter((name) => name in given);
  if (sources.length !== 1) {
    throw new ConfigurationError(
      `RateLimitModule.forRootAsync needs exactly one of useFactory, useClass and useExisting; got ${sources.join(' and ') || 'none'}.`,
    );
  }
}

/** @throws ConfigurationError naming the option */
export function resolveExtras({
  isGlobal,
  guard,
}: RateLimitModuleExtras): Completed<RateLimitModuleExtras, typeof extraOptions> {
  return readOptions(extraOptions, { isGlobal, guard }, naming);
}

/**
 * Validates the module's options and adds the defaults.
 *
 * @throws ConfigurationError naming the option and the fix
 */
export function resolveOptions(given: unknown): ResolvedOptions {
  assertNotOfThrottler(given);
  assertOptionsObject('The options of RateLimitModule', given);
  const options = readOptions<RateLimitModuleOptions, typeof moduleOptions>(moduleOptions, given, {
    ...naming,
    hints: hints(extraOptions, 'It is given beside the factory: forRootAsync({ guard: false, useFactory }).'),
  });
  const { errorFactory, errorMessage, errorFormat } = options;
  if (errorFactory !== undefined && (errorMessage !== undefined || errorFormat !== undefined)) {
    throw new ConfigurationError(
      'RateLimitModule takes errorFactory or errorMessage and errorFormat, not both: the factory makes the whole error.',
    );
  }
  return hideStorage({
    ...options,
    limits: resolveLimits(options.limits),
    apiKeyHeader: options.apiKeyHeader.toLowerCase(),
    headers: resolveHeaders(options.headers),
    resilience: resolveResilience(options.resilience),
    settings: resolveSettings(options.settings),
  });
}

/** @throws ConfigurationError for options of `ThrottlerModule`, which may be a list */
export function assertNotOfThrottler(given: unknown): void {
  const limits = throttlerLimits(given);
  if (limits === undefined) return;
  throw new ConfigurationError(
    `RateLimitModule was given options in the form of @nestjs/throttler. Write the limits as text: forRoot({ limits: ${limits} }).`,
  );
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

function resolveSettings(settings: RateLimitSettings = {}): ResolvedOptions['settings'] {
  const owner = 'The option "settings" of RateLimitModule';
  assertOptionsObject(owner, settings);
  return readOptions(settingsOptions, settings, {
    owner,
    option: (name) => `The option "settings.${name}" of RateLimitModule`,
  });
}

function resolveHeaders(headers: RateLimitModuleOptions['headers'] = {}): ResolvedOptions['headers'] {
  if (headers === false) return NO_HEADERS;
  const owner = 'The option "headers" of RateLimitModule';
  assertOptionsObject(owner, headers);
  const options = readOptions(headerOptions, headers, {
    owner,
    option: (name) => `The option "headers.${name}" of RateLimitModule`,
  });
  return { ...options, legacy: resolveLegacy(options.legacy) };
}

function resolveLegacy(legacy: boolean | LegacyHeaders): LegacyHeaders | false {
  if (typeof legacy === 'boolean') return legacy && {};
  const owner = 'The option "headers.legacy" of RateLimitModule';
  assertOptionsObject(owner, legacy);
  const options = readOptions(legacyOptions, legacy, {
    owner,
    option: (name) => `The option "headers.legacy.${name}" of RateLimitModule`,
  });
  if (options.perLimit && options.show !== undefined)
    throw new ConfigurationError(
      `${owner} takes "perLimit" or "show", not both: "perLimit" shows every limit.`,
    );
  return options;
}

function hints(table: object, hint: string): Record<string, string> {
  return Object.fromEntries(Object.keys(table).map((name) => [name, hint]));
}

/**
 * Freezes resolved options so that inspection shows none of them: a storage given as a URI may
 * contain a password.
 */
function hideStorage<Options extends { readonly storage?: unknown }>(options: Options): Readonly<Options> {
  if (options.storage !== undefined) Object.defineProperty(options, 'storage', { enumerable: false });
  hideContents(options, () => 'RateLimitModuleOptions');
  return Object.freeze(options);
}
