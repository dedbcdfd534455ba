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

/**
 * Stops a module that `LazyModuleLoader` loads: Nest binds global guards to the handlers when the application starts, so that the guard
 * of the module would limit no request.
 *
 * @param guard a provider that the module has only with its guard
 * @throws ConfigurationError with the fix
 */
export function assertLoadedAtStart(moduleClass: Type, modules: ModulesContainer, guard: Type): void {
  // Nest's own module, which imports all global modules, and the root module. No module of the start imports a lazy-loaded one.
  const reached = new Set([...modules.values()].slice(0, 2));
  for (const { imports } of reached) for (const imported of imports) reached.add(imported);
  const isLate = [...modules.values()].some(
    (module) => module.metatype === moduleClass && module.providers.has(guard) && !reached.has(module),
  );
  if (!isLate) return;
  throw new ConfigurationError(
    `${moduleClass.name} is loaded by LazyModuleLoader, after Nest has bound the guards of the application, so that it would limit no ` +
      'request. Import it into the root module. If it only serves limits by hand, set guard: false.',
  );
}
