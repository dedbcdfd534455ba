import { Inject, Injectable, type ExecutionContext, type Type } from '@nestjs/common';
import { all, attempt, chain, type Awaitable } from '../../common/awaitable.js';
import { ConfigurationError, ResolverError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { joinIdentities } from '../../common/identity.js';
import type { KeyFunction } from '../../policies/policy.js';
import { InjectedFunctions } from '../options/user-functions.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import { ClientAddresses } from './client-addresses.js';
import { warnOfMissingBody } from './body-source.js';
import { builtInSource } from './built-in-sources.js';
import { isFirstOf, type IdentityResolver, type RateLimitKey } from '../options/rate-limit-key.js';
import { sourceOf, type IdentitySource } from './identity-source.js';

/** Deepest nesting of lists in a key. */
const MAX_KEY_DEPTH = 16;

/** Compiles keys in any form into identity sources, once, when policies are compiled. */
@Injectable()
export class IdentitySources {
  /** Weak, so that replaced rules can be garbage-collected. */
  readonly #ofObjects = new WeakMap<object, IdentitySource>();
  readonly #ofNames = new Map<string, IdentitySource>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(InjectedFunctions) private readonly functions: InjectedFunctions,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Returns the source of a key. Equal keys share a source, so that a request resolves their
   * identity once.
   *
   * @throws ConfigurationError for an invalid key
   */
  for(key: RateLimitKey, where: string): IdentitySource {
    const known = typeof key === 'string' ? this.#ofNames.get(key) : this.#ofObjects.get(key);
    if (known !== undefined) return known;
    assertNotWithinItself(key, where);
    const source = this.#make(key, where);
    if (typeof key === 'string') this.#ofNames.set(key, source);
    else this.#ofObjects.set(key, source);
    return source;
  }

  #make(key: RateLimitKey, where: string): IdentitySource {
    if (typeof key === 'string')
      return builtInSource(key, where, this.options, this.addresses, this.warnings);
    if (typeof key === 'function') return this.#ofFunction(key, where);
    const keys = isFirstOf(key) ? key.keys : key;
    if (!Array.isArray(keys) || keys.length === 0)
      throw new ConfigurationError(
        `${where}: a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got ${describeValue(key)}.`,
      );
    const sourcesOf = (parts: readonly RateLimitKey[]): IdentitySource[] =>
      parts.map((part) => this.for(part, where));
    return isFirstOf(key)
      ? firstOfParts(sourcesOf(keys))
      : composite(sourcesOf(flatten(keys)), this.addresses);
  }

  #ofFunction(key: KeyFunction<ExecutionContext> | Type<IdentityResolver>, where: string): IdentitySource {
    const find = this.functions.get<KeyFunction<ExecutionContext>>(key, where, 'key', 'IdentityResolver');
    const resolve = (context: ExecutionContext): Awaitable<string | undefined> =>
      chain(find(context), (value) => {
        if (value === undefined || value === null || value === '') return undefined;
        if (typeof value === 'string') return value;
        throw new ResolverError(
          `${where}: the function "key" must return a string; got ${describeValue(value)}. Convert it, for example with String(id).`,
        );
      });
    return sourceOf(
      'key',
      (request, observe) =>
        chain(resolve(request.context), (found) => {
          if (found === undefined) warnOfMissingBody(`${where}: the function "key"`, request, this.warnings);
          observe?.({ option: 'key', found, repeat: () => resolve(request.context) });
          return found;
        }),
      { mayReadUser: true },
    );
  }
}

/** Flattens nested lists. Includes holes, so that they are rejected as invalid keys. */
function flatten(keys: readonly RateLimitKey[]): RateLimitKey[] {
  return Array.from(keys).flatMap((key) =>
    Array.isArray(key) ? flatten(key as readonly RateLimitKey[]) : [key],
  );
}

/** Throws for a key that contains itself, which would recurse forever. */
function assertNotWithinItself(
  key: RateLimitKey,
  where: string,
  within: ReadonlySet<unknown> = new Set(),
): void {
  const keys: unknown = isFirstOf(key) ? key.keys : key;
  if (!Array.isArray(keys)) return;
  if (within.has(keys) || within.size >= MAX_KEY_DEPTH)
    throw new ConfigurationError(
      `${where}: a key is a list of keys that is a part of itself, or lies within ${MAX_KEY_DEPTH} others. Give its parts in one list.`,
    );
  const deeper = new Set([...within, keys]);
  for (const part of keys as readonly RateLimitKey[]) assertNotWithinItself(part, where, deeper);
}

/** Combines several identities into one. The client's address replaces a missing part. */
function composite(parts: readonly IdentitySource[], addresses: ClientAddresses): IdentitySource {
  return {
    types: [parts.map(({ types }) => types.join('|')).join('+')],
    ...traitsOf(parts),
    resolve: (request, observe) =>
      chain(
        all(
          parts.map((part) =>
            attempt(() =>
              chain(part.resolve(request, observe), (identity) => identity ?? addresses.identityFor(request)),
            ),
          ),
        ),
        joinIdentities,
      ),
    fromValues(values) {
      if (values.length !== parts.length)
        throw new TypeError(
          `The policy is counted for an identity of ${parts.length} parts; got ${values.length} identifiers.`,
        );
      return joinIdentities(parts.map((part, index) => part.fromValues([values[index] as string])));
    },
  };
}

function traitsOf(parts: readonly IdentitySource[]): Pick<IdentitySource, 'isUnverified' | 'mayReadUser'> {
  return {
    isUnverified: parts.some(({ isUnverified }) => isUnverified),
    mayReadUser: parts.some(({ mayReadUser }) => mayReadUser),
  };
}

function firstOfParts(parts: readonly IdentitySource[]): IdentitySource {
  return {
    types: parts.flatMap(({ types }) => types),
    ...traitsOf(parts),
    resolve: (request, observe) => {
      const from = (index: number): ReturnType<IdentitySource['resolve']> => {
        const part = parts[index];
        return part && chain(part.resolve(request, observe), (identity) => identity ?? from(index + 1));
      };
      return from(0);
    },
    fromValues() {
      throw new ConfigurationError(
        "The policy is counted for the first of several identities. Say which: { policy, as: 'user' }.",
      );
    },
  };
}
