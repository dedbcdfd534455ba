import type { ExecutionContext, Type } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { KeyFunction } from '../../policies/policy.js';

/** Finds out whom a request is counted for, as an injectable class. It must not be request-scoped. */
export interface IdentityResolver {
  /** The identity; nothing (`undefined`, `null` or `''`) falls back to the client's address. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined>;
}

/**
 * An identity by name: the client's address (`'ip'`), the authenticated `'user'`, an `'api-key'`, the `'session'`, the
 * connection of a WebSocket (`'socket'`), a header (`'header:x-tenant'`), or a text in the body, hashed (`'body:username'`).
 */
export type BuiltInKey =
  'ip' | 'user' | 'api-key' | 'session' | 'socket' | `header:${string}` | `body:${string}`;

/**
 * Whom a request is counted for: an identity by name, a function or an injectable class that finds it out, a list of those
 * that make one together, or `firstOf(…)` several. What a request does not have is its client's address instead.
 */
export type RateLimitKey =
  BuiltInKey | KeyFunction<ExecutionContext> | Type<IdentityResolver> | FirstOf | readonly RateLimitKey[];

const FIRST_OF = Symbol.for('nestjs-limits:first-of');

/** The first of several identities that a request has. */
export class FirstOf {
  /** @internal Tells it in every copy of this library. */
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

/** Whether a key is the first of several, as made by whichever copy of this library. */
export function isFirstOf(key: unknown): key is FirstOf {
  return typeof key === 'object' && key !== null && FIRST_OF in key;
}
