import { Inject, Injectable, type ExecutionContext, type Type } from '@nestjs/common';
import { all, attempt, chain } from '../../common/awaitable.js';
import { ConfigurationError, ResolverError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { bucketOf, joinBuckets } from '../../policies/buckets.js';
import type { KeyFunction } from '../../policies/policy.js';
import { InjectedFunctions } from '../injected-functions.js';
import { RATE_LIMIT_OPTIONS } from '../rate-limit.tokens.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { builtInIdentity } from './built-in-identities.js';
import { isFirstOf, type IdentityResolver, type RateLimitKey } from './rate-limit-key.js';
import { theOnly, type Identity } from './identity.js';

/** How many lists a key may lie within. */
const DEEPEST_KEY = 16;

/** Turns keys, in whatever form they are given, into identities, once, when policies are compiled. */
@Injectable()
export class IdentityResolvers {
  /** Those of rules that are replaced go with them. */
  readonly #ofObjects = new WeakMap<object, Identity>();
  readonly #ofNames = new Map<string, Identity>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(InjectedFunctions) private readonly functions: InjectedFunctions,
  ) {}

  /**
   * The identity that a key means; the same for the same key, so that it is found out once per request.
   *
   * @throws ConfigurationError when it means none
   */
  identityOf(key: RateLimitKey, where: string): Identity {
    const known = typeof key === 'string' ? this.#ofNames.get(key) : this.#ofObjects.get(key);
    if (known !== undefined) return known;
    assertNotWithinItself(key, where);
    const identity = this.#make(key, where);
    if (typeof key === 'string') this.#ofNames.set(key, identity);
    else this.#ofObjects.set(key, identity);
    return identity;
  }

  #make(key: RateLimitKey, where: string): Identity {
    if (typeof key === 'string') return builtInIdentity(key, where, this.options);
    if (typeof key === 'function') return this.#ofFunction(key, where);
    const keys = isFirstOf(key) ? key.keys : key;
    if (!Array.isArray(keys) || keys.length === 0)
      throw new ConfigurationError(
        `${where}: a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got ${describeValue(key)}.`,
      );
    const identitiesOf = (parts: readonly RateLimitKey[]): Identity[] =>
      parts.map((part) => this.identityOf(part, where));
    return isFirstOf(key) ? firstOfParts(identitiesOf(keys)) : composite(identitiesOf(flatten(keys)));
  }

  #ofFunction(key: KeyFunction<ExecutionContext> | Type<IdentityResolver>, where: string): Identity {
    const find = this.functions.of<KeyFunction<ExecutionContext>>(key, where, 'key', 'IdentityResolver');
    return {
      types: ['key'],
      isAsserted: false,
      isOfUser: false,
      bucketOf: ({ context }) =>
        chain(find(context), (value) => {
          if (value === undefined || value === null || value === '') return undefined;
          if (typeof value === 'string') return bucketOf('key', value);
          throw new ResolverError(
            `${where}: the function "key" must return a string; got ${describeValue(value)}. Convert it, for example with String(id).`,
          );
        }),
      bucketFor: (values) => bucketOf('key', theOnly(values)),
    };
  }
}

/** A list within a list is more parts of it; a hole in a list is a part that is no key. */
function flatten(keys: readonly RateLimitKey[]): RateLimitKey[] {
  return Array.from(keys).flatMap((key) =>
    Array.isArray(key) ? flatten(key as readonly RateLimitKey[]) : [key],
  );
}

/** Whoever follows the parts of such a key never comes to an end. */
function assertNotWithinItself(
  key: RateLimitKey,
  where: string,
  within: ReadonlySet<unknown> = new Set(),
): void {
  const keys: unknown = isFirstOf(key) ? key.keys : key;
  if (!Array.isArray(keys)) return;
  if (within.has(keys) || within.size >= DEEPEST_KEY)
    throw new ConfigurationError(
      `${where}: a key is a list of keys that is a part of itself, or lies within ${DEEPEST_KEY} others. Give its parts in one list.`,
    );
  const deeper = new Set([...within, keys]);
  for (const part of keys as readonly RateLimitKey[]) assertNotWithinItself(part, where, deeper);
}

/** An identity of several parts, which are found out together. A part that is missing is the client's address. */
function composite(parts: readonly Identity[]): Identity {
  return {
    types: [parts.map(({ types }) => types.join('|')).join('+')],
    ...traitsOf(parts),
    bucketOf: (request) =>
      chain(
        all(
          parts.map((part) =>
            attempt(() => chain(part.bucketOf(request), (bucket) => bucket ?? request.addressBucket())),
          ),
        ),
        joinBuckets,
      ),
    bucketFor(values) {
      if (values.length !== parts.length)
        throw new TypeError(
          `The policy is counted for an identity of ${parts.length} parts; got ${values.length} identifiers.`,
        );
      return joinBuckets(parts.map((part, index) => part.bucketFor([values[index] as string])));
    },
  };
}

function traitsOf(parts: readonly Identity[]): Pick<Identity, 'isAsserted' | 'isOfUser'> {
  return {
    isAsserted: parts.some(({ isAsserted }) => isAsserted),
    isOfUser: parts.some(({ isOfUser }) => isOfUser),
  };
}

function firstOfParts(parts: readonly Identity[]): Identity {
  return {
    types: parts.flatMap(({ types }) => types),
    ...traitsOf(parts),
    bucketOf: (request) => {
      const from = (index: number): ReturnType<Identity['bucketOf']> => {
        const part = parts[index];
        return part && chain(part.bucketOf(request), (bucket) => bucket ?? from(index + 1));
      };
      return from(0);
    },
    bucketFor() {
      throw new ConfigurationError(
        "The policy is counted for the first of several identities. Say which: { policy, as: 'user' }.",
      );
    },
  };
}
