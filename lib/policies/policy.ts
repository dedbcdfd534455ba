import type { Awaitable } from '../common/awaitable.js';
import type { LimitInput } from '../limits/limit-input.js';
import type { Limit } from '../storages/limit.js';
import type { StrategyName } from '../strategies/strategy.js';

/** Finds out whom a request is counted for; nothing (`undefined`, `null` or `''`) falls back to the client's address. */
export type KeyFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** How limits are counted. `Context` is what the functions are called with; `Key` is how an identity may be given. */
export interface PolicyOptions<Context, Key = KeyFunction<Context>> {
  /** What the policy is called in header fields and errors, and by what it replaces one of an outer level. Default: `'default'`. */
  name?: string;
  /** Default: the module's. */
  strategy?: StrategyName;
  /** Capacity of a token bucket, in units. Default: the amount. */
  burst?: number;
  /** Whom to count for. Default: the module's, else the client's address. */
  key?: Key;
  /** Units a request takes: a whole number from 0, or a function. Default: 1. */
  cost?: number | ((context: Context) => Awaitable<number>);
  /**
   * Which requests share a count: those of the `'route'`, of the `'controller'`, all (`'global'`), or all whose policies
   * give the same other name here. Default: where the policy is declared.
   */
  scope?: 'route' | 'controller' | 'global' | (string & {});
  /** Whether to let a request pass uncounted. */
  skip?: (context: Context) => Awaitable<boolean>;
}

/** One declaration: limits and how they are counted. */
export interface PolicyDeclaration<Context, Key = KeyFunction<Context>> extends PolicyOptions<Context, Key> {
  /** One or several limits, for example `'10/minute; 100/hour'`; all must allow a request. */
  limits: LimitInput;
}

/** What is declared in one place: a handler, a class, or the module. */
export interface PolicyLevel<Context, Key> {
  /** Names the place in errors: `@RateLimit on UsersController.login`. */
  readonly where: string;
  readonly scope: 'route' | 'controller' | 'global';
  readonly declarations: readonly PolicyDeclaration<Context, Key>[];
  /** Policies that this level switches off: all, or those of these names. */
  readonly skips: 'all' | readonly string[];
}

/** A declaration, compiled and frozen. */
export interface Policy<Context, Key> {
  readonly name: string;
  /** Names the place of the declaration in errors. */
  readonly where: string;
  readonly limits: readonly Limit[];
  readonly key: Key | undefined;
  readonly cost: number | ((context: Context) => Awaitable<number>);
  readonly skip: ((context: Context) => Awaitable<boolean>) | undefined;
}
