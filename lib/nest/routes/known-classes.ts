import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

/** Yields controllers and providers, since gateways and resolvers are providers. */
export function* knownClasses(modules: ModulesContainer): Iterable<Type> {
  for (const { controllers, providers } of modules.values()) {
    for (const { metatype } of controllers.values()) if (hasPrototype(metatype)) yield metatype;
    for (const { metatype, inject } of providers.values())
      if (hasPrototype(metatype) && inject === undefined) yield metatype;
  }
}

function hasPrototype(value: unknown): value is Type {
  return typeof value === 'function' && value.prototype !== undefined;
}
