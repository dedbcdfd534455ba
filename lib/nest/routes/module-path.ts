import type { ModulesContainer } from '@nestjs/core';

/** Returns the path of a module, as given to `RouterModule`; `undefined` for none. */
export function modulePathOf(module: object, { applicationId }: ModulesContainer): string | undefined {
  return Reflect.getMetadata(`__module_path__${applicationId}`, module) as string | undefined;
}
