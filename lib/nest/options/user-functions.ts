import { HttpException, Inject, Injectable, Scope, type Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { attempt, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError, ResolverError } from '../../common/errors.js';
import { shownByName } from '../../common/inspection.js';

/** A class whose instances have a method `resolve`. */
export type ResolverClass<Result> = Type<{ resolve: Result }>;

/** Turns options that are a function or an injectable class into a function, once, when policies are compiled. */
@Injectable()
@shownByName
export class InjectedFunctions {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param what names the option in errors
   * @throws ConfigurationError if the class is not a provider, or is not a singleton
   */
  get<Result extends (...args: never[]) => unknown>(
    given: Result | ResolverClass<Result>,
    where: string,
    what: string,
    implemented: string,
  ): Result {
    return isClass(given) ? this.#bind(given, where, what, implemented) : given;
  }

  #bind<Result extends (...args: never[]) => unknown>(
    resolverClass: ResolverClass<Result>,
    where: string,
    what: string,
    implemented: string,
  ): Result {
    const { name } = resolverClass;
    if (this.#scopeOf(resolverClass, where, what) !== Scope.DEFAULT) {
      throw new ConfigurationError(
        `${where}: the ${what} ${name} is request-scoped or transient. Policies are compiled once, before any request, so it ` +
          'must be a singleton: remove the scope (also of what it injects) and read the request from the context it is given.',
      );
    }
    const find = (): { resolve: Result } => this.moduleRef.get(resolverClass, { strict: false });
    if (typeof find().resolve !== 'function') {
      throw new ConfigurationError(
        `${where}: the ${what} ${name} has no method "resolve". Implement ${implemented}.`,
      );
    }
    // Kept from the first call on: policies may be compiled while Nest still creates the providers.
    let resolver: { resolve: Result } | undefined;
    return ((...args) => (resolver ??= find()).resolve(...args)) as Result;
  }

  #scopeOf(resolverClass: Type, where: string, what: string): Scope {
    try {
      return this.moduleRef.introspect(resolverClass).scope;
    } catch (cause) {
      throw new ConfigurationError(
        `${where}: the ${what} ${resolverClass.name} is not a provider. Add it to the providers of a module.`,
        { cause },
      );
    }
  }
}

/** Detects a class: its prototype is read-only, or has the method `resolve` if the class was compiled to ES5. */
function isClass<Result>(given: Result | ResolverClass<Result>): given is ResolverClass<Result> {
  const prototype = Object.getOwnPropertyDescriptor(given, 'prototype');
  return (
    prototype?.writable === false ||
    typeof (prototype?.value as { resolve?: unknown } | undefined)?.resolve === 'function'
  );
}

/**
 * Calls a function of the application. Wraps an error so that it names the function and its place; passes an `HttpException` on.
 * Turns a synchronous throw into a rejection, so that calls that are already in flight are still awaited.
 */
export function callUserFunction<T>(where: string, option: string, call: () => Awaitable<T>): Awaitable<T> {
  const answer = attempt(call);
  if (!isPromise(answer)) return answer;
  return Promise.resolve(answer).catch((cause: unknown) => {
    if (cause instanceof HttpException || cause instanceof ResolverError) throw cause;
    throw new ResolverError(`${where}: the function "${option}" failed: ${messageOf(cause)}`, { cause });
  });
}
