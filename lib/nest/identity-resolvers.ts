import { Inject, Injectable, Scope, type ExecutionContext, type Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ConfigurationError } from '../common/errors.js';
import type { KeyFunction } from '../policies/policy.js';
import type { IdentityResolver, RateLimitKey } from './rate-limit.options.js';

/** Turns keys given as injectable classes into functions, once, when policies are compiled. */
@Injectable()
export class IdentityResolvers {
  readonly #functions = new Map<RateLimitKey, KeyFunction<ExecutionContext>>();

  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * The function that a key means; the same for the same key, so that it is called once per request.
   *
   * @throws ConfigurationError when the class is no provider, or is made anew per request
   */
  resolverOf(key: RateLimitKey | undefined, where: string): KeyFunction<ExecutionContext> | undefined {
    if (key === undefined) return undefined;
    let resolve = this.#functions.get(key);
    if (resolve === undefined) {
      resolve = isResolverClass(key) ? this.#bind(key, where) : key;
      this.#functions.set(key, resolve);
    }
    return resolve;
  }

  #bind(resolverClass: Type<IdentityResolver>, where: string): KeyFunction<ExecutionContext> {
    if (this.#scopeOf(resolverClass, where) !== Scope.DEFAULT) {
      throw new ConfigurationError(
        `${where}: the key ${resolverClass.name} is request-scoped or transient. Policies are compiled once, before any request, so it ` +
          'must be a singleton: remove the scope (also of what it injects) and read the request from the context it is given.',
      );
    }
    const resolver = this.moduleRef.get(resolverClass, { strict: false });
    if (typeof resolver.resolve !== 'function') {
      throw new ConfigurationError(
        `${where}: the key ${resolverClass.name} has no method "resolve". Implement IdentityResolver.`,
      );
    }
    return (context) => resolver.resolve(context);
  }

  #scopeOf(resolverClass: Type<IdentityResolver>, where: string): Scope {
    try {
      return this.moduleRef.introspect(resolverClass).scope;
    } catch (cause) {
      throw new ConfigurationError(
        `${where}: the key ${resolverClass.name} is not a provider. Add it to the providers of a module.`,
        { cause },
      );
    }
  }
}

/** A class, unlike any other function, has a prototype that cannot be replaced; one compiled for ES5 shows its method. */
function isResolverClass(key: RateLimitKey): key is Type<IdentityResolver> {
  const prototype = Object.getOwnPropertyDescriptor(key, 'prototype');
  return (
    prototype?.writable === false ||
    typeof (prototype?.value as Partial<IdentityResolver> | undefined)?.resolve === 'function'
  );
}
