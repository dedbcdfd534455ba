import type { ExecutionContext, Type } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { KeyFunction } from '../../policies/policy.js';

/** Resolves the identity of a request, as an injectable class. It must not be request-scoped. */
export interface IdentityResolver {
  /** Returns the identity; `undefined`, `null` and `''` fall back to the client's address. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined>;
}

/**
 * An identity by name: the client's address (`'ip'`), the authenticated `'user'`, an `'api-key'`, the `'session'`, the
 * connection of a WebSocket (`'socket'`), a header (`'header:x-tenant'`), or a text in the body, hashed (`'body:username'`).
 */
export type BuiltInKey =
  'ip' | 'user' | 'api-key' | 'session' | 'socket' | `header:${string}` | `body:${string}`;

/**
 * The identity that a request is counted for: a built-in one by name, a function or an injectable class that resolves it, a list
 * of parts that are combined, or `firstOf(…)` several. The client's address replaces an identity that a request does not have.
 */
export type RateLimitKey =
  BuiltInKey | KeyFunction<ExecutionContext> | Type<IdentityResolver> | FirstOf | readonly RateLimitKey[];

const FIRST_OF = Symbol.for('nestjs-limits:first-of');

/** The first of several identities that a request has. */
export class FirstOf {
  /** @internal Recognizes the class across copies of this library. */
  readonly [FIRST_OF] = true;

  /** @internal */
  constructor(readonly keys: readonly RateLimitKey[]) {}
}

/**
 * Counts for the first of several identities that a request has.
 *
 * @example
 * ```ts
 * import { Controller, Get } from '@nestjs/common';
 * import { firstOf, RateLimit } from 'nestjs-limits';
 *
 * @Controller()
 * class ReportsController {
 *   @Get('reports')
 *   @RateLimit('100/hour', { key: firstOf('user', 'ip'), phase: 'afterAuth' })
 *   reports() {}
 * }
 * ```
 */
export function firstOf(...keys: readonly RateLimitKey[]): FirstOf {
  return new FirstOf(keys);
}

/** Returns true for a key created by {@link firstOf}, also by that of another copy of this library. */
export function isFirstOf(key: unknown): key is FirstOf {
  return typeof key === 'object' && key !== null && FIRST_OF in key;
}
