import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import {
  assertBoolean,
  assertList,
  assertOptionsObject,
  readOptions,
  type Completed,
  type OptionTable,
} from '../../common/options.js';

/** Options of `RateLimitConsoleModule.forRoot`. */
export interface RateLimitConsoleOptions {
  /**
   * Path of the page, of plain segments, below the global prefix.
   *
   * @default '/rate-limits'
   */
  path?: string | undefined;
  /**
   * Guards that admit operators: classes or instances. Required, unless `open` is true.
   *
   * They run in order, after the application's global guards.
   *
   * @default none
   */
  guards?: readonly (Type<CanActivate> | CanActivate)[] | undefined;
  /**
   * Modules whose providers the guards inject.
   *
   * @default none
   */
  imports?: ModuleMetadata['imports'];
  /**
   * True to serve this machine without guards. Excludes `guards`.
   *
   * Serves only clients on this machine, under a name of it such as `localhost`, and no request
   * that a proxy has marked (`Forwarded`, `X-Forwarded-*`, `Via`).
   *
   * @default false
   * @see docs/console.md#without-guards
   */
  open?: boolean | undefined;
}

const consoleOptions = {
  path: { default: '/rate-limits', check: assertPath },
  guards: { default: [], check: assertGuards },
  imports: { default: [], check: assertList },
  open: { default: false, check: assertBoolean },
} satisfies OptionTable<RateLimitConsoleOptions>;

/** The options, validated and with defaults. */
export type ResolvedConsoleOptions = Completed<RateLimitConsoleOptions, typeof consoleOptions>;

/** @throws ConfigurationError naming the option and the fix */
export function resolveConsoleOptions(given: RateLimitConsoleOptions): ResolvedConsoleOptions {
  assertOptionsObject('The argument of RateLimitConsoleModule.forRoot', given);
  const options = readOptions<RateLimitConsoleOptions, typeof consoleOptions>(consoleOptions, given, {
    owner: 'RateLimitConsoleModule',
    option: (name) => `The option "${name}" of RateLimitConsoleModule`,
  });
  const { guards, open } = options;
  if (guards.length === 0 && !open)
    throw new ConfigurationError(
      'RateLimitConsoleModule needs guards, or anyone could read and change the limits of clients: ' +
        'forRoot({ guards: [AdminGuard] }). For development, open: true serves this machine only.',
    );
  if (guards.length > 0 && open)
    throw new ConfigurationError(
      'RateLimitConsoleModule takes guards or open: true, not both. Leave out open where there are guards.',
    );
  return options;
}

function assertPath(where: string, value: unknown): void {
  if (typeof value === 'string' && /^\/?[\w.~-]+(\/[\w.~-]+)*$/.test(value)) return;
  throw new ConfigurationError(
    `${where} must be a path of plain segments, such as "/rate-limits"; got ${describeValue(value)}.`,
  );
}

function assertGuards(where: string, value: unknown): void {
  assertList(where, value);
  for (const guard of value as readonly unknown[]) {
    const { canActivate } = ((typeof guard === 'function' ? guard.prototype : guard) ??
      {}) as Partial<CanActivate>;
    if (typeof canActivate !== 'function')
      throw new ConfigurationError(
        `${where} must be a list of guards, which have a method canActivate; got ${describeValue(guard)}.`,
      );
  }
}
