import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { ConfigurationError } from '../../common/errors.js';

/**
 * Stops the start if an application has several configurations of a module: each would have a separate storage, rules and
 * service. Nest keeps one module for a dynamic module that is imported in several places.
 *
 * @throws ConfigurationError with the fix
 */
export function assertConfiguredOnce(moduleClass: Type, modules: ModulesContainer): void {
  const count = [...modules.values()].filter(({ metatype }) => metatype === moduleClass).length;
  if (count <= 1) return;
  throw new ConfigurationError(
    `${moduleClass.name} is configured ${count} times in one application. Each would count in a storage of its own, and a service would see ` +
      'only its own. Call forRoot or forRootAsync once, in the root module: other modules need no import, since it is global. ' +
      'With isGlobal: false, keep what it returns in a constant, and import that constant wherever it is needed.',
  );
}
