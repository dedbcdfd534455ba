import { ConfigurationError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import {
  assertBoolean,
  assertList,
  checkedLater,
  ofType,
  oneOf,
  type OptionCheck,
  type OptionTable,
} from '../../common/options.js';
import { DEFAULT_IPV6_PREFIX } from '../../http/client-address.js';
import type { LegacyHeaders } from '../../http/header-fields.js';
import { assertBlock } from '../../policies/block-option.js';
import { orFunction } from '../../policies/policy-options.js';
import { assertWaitOption } from '../../policies/wait-option.js';
import { assertAnchor, assertTimeZone } from '../../strategies/calendars.js';
import { rateStrategyNames } from '../../strategies/strategies.js';
import type {
  RateLimitHeaders,
  RateLimitModuleExtras,
  RateLimitModuleOptions,
  RateLimitNetworks,
  RateLimitSettings,
} from './rate-limit.options.js';
import { idOfUser } from './user-id.js';

/** The options of the module. */
export const moduleOptions = {
  storage: checkedLater,
  strategy: { check: assertStrategy, default: 'fixed-window' },
  timeZone: { check: orFunction(assertTimeZone) },
  anchor: { check: orFunction(assertAnchor) },
  block: { check: assertBlock },
  wait: { check: assertWaitOption },
  limits: checkedLater,
  rules: { check: assertList, default: [] },
  settings: checkedLater,
  key: { default: 'ip' },
  plan: { check: ofType('function') },
  clientIp: { check: ofType('function') },
  ipv6Prefix: { check: assertIpv6Prefix, default: DEFAULT_IPV6_PREFIX },
  user: { check: ofType('function'), default: idOfUser },
  apiKeyHeader: { check: assertHeaderName, default: 'x-api-key' },
  allow: { check: assertList },
  deny: { check: assertList },
  transports: { check: assertList },
  refusedMessages: { check: oneOf(['reject', 'requeue', 'ack', 'manual']) },
  resilience: checkedLater,
  keyPrefix: checkedLater,
  headers: checkedLater,
  skip: { check: ofType('function') },
  errorMessage: { check: ofType('string', 'function') },
  errorFormat: { check: oneOf(['nest', 'problem', 'throttler']) },
  errorFactory: { check: ofType('function') },
  onRefused: { check: ofType('function') },
} as const satisfies OptionTable<RateLimitModuleOptions>;

/** The options that can be replaced while the application runs. */
export const networkOptions = {
  allow: moduleOptions.allow,
  deny: moduleOptions.deny,
} as const satisfies OptionTable<RateLimitNetworks>;

/** The options that `forRootAsync` takes next to the factory. */
export const extraOptions = {
  isGlobal: { check: assertBoolean, default: true },
  guard: { check: assertBoolean, default: true },
} as const satisfies OptionTable<RateLimitModuleExtras>;

/** The option `settings`. */
export const settingsOptions = {
  shared: { check: assertBoolean, default: false },
} as const satisfies OptionTable<RateLimitSettings>;

/** The option `headers`. */
export const headerOptions = {
  standard: { check: assertBoolean, default: true },
  legacy: { check: orObject(assertBoolean), default: false },
  retryAfter: { check: assertBoolean, default: true },
  graphql: { check: assertBoolean, default: false },
} as const satisfies OptionTable<RateLimitHeaders>;

/** The option `headers.legacy`. */
export const legacyOptions = {
  reset: { check: oneOf(['seconds', 'epoch', 'iso']), default: 'seconds' },
  perLimit: { check: assertBoolean, default: false },
  show: { check: ofType('string') },
} as const satisfies OptionTable<LegacyHeaders>;

/** Also accepts an object, whose options have a separate table. */
function orObject(check: OptionCheck): OptionCheck {
  return (where, value) => (typeof value === 'object' && value !== null) || check(where, value);
}

function assertStrategy(_where: string, value: unknown): void {
  if (!rateStrategyNames.some((name) => name === value))
    throw new ConfigurationError(
      `The strategy of RateLimitModule must be one of ${rateStrategyNames.join(', ')}; got ${describeValue(value)}.`,
    );
}

function assertIpv6Prefix(where: string, value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 32 || (value as number) > 128)
    throw new ConfigurationError(
      `${where} must be a whole number from 32 to 128; got ${describeValue(value)}.`,
    );
}

function assertHeaderName(where: string, value: unknown): void {
  if (typeof value !== 'string' || !/^[\w.-]+$/.test(value))
    throw new ConfigurationError(`${where} must be the name of a header; got ${describeValue(value)}.`);
}
