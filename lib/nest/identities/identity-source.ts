import type { ExecutionContext } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { identityOf } from '../../common/identity.js';
import type { Transport } from '../transports/transport.js';

/** A look-up that may read the authenticated user, and can be repeated after the response. */
export interface EarlyLookup {
  /** The option that resolves the value. */
  readonly option: 'user' | 'key' | 'plan';
  /** The resolved value; `undefined`, `null` or `''` for none. */
  readonly found: unknown;
  /** Resolves the value again. */
  repeat(): unknown;
}

/** Receives look-ups that run before authentication. */
export type LookupObserver = (lookup: EarlyLookup) => void;

/** A request whose identity is resolved. */
export interface IdentifiedRequest {
  readonly context: ExecutionContext;
  readonly transport: Transport;
  /** The client's address, if already known. */
  readonly address: string | undefined;
  /** Cache of {@link ClientAddresses.identityFor}. */
  addressIdentity: Awaitable<string> | undefined;
}

/** Resolves the identity of a request for one key. */
export interface IdentitySource {
  /** The kinds of identities that it may return: `'ip'`, `'user'`, `'key'`. */
  readonly types: readonly string[];
  /** True if clients can choose the identity freely, because it is not verified. */
  readonly isUnverified: boolean;
  /** True if it may read the authenticated user. */
  readonly mayReadUser: boolean;
  /**
   * Returns the identity of a request; `undefined` if the request has none.
   *
   * @param observe given before authentication only
   */
  resolve(request: IdentifiedRequest, observe?: LookupObserver): Awaitable<string | undefined>;
  /**
   * Returns the identity of given values, without a request.
   *
   * @param values one for each part
   * @throws TypeError for more or fewer values
   */
  fromValues(values: readonly string[]): string;
}

/**
 * Returns the only value.
 *
 * @throws TypeError for none or several
 */
export function single(values: readonly string[]): string {
  const [value, ...others] = values;
  if (value === undefined || others.length > 0)
    throw new TypeError(`The policy is counted for one identity; got ${values.length} identifiers.`);
  return value;
}

/** Creates the source of an identity of one part. */
export function sourceOf(
  type: string,
  find: (request: IdentifiedRequest, observe?: LookupObserver) => Awaitable<string | undefined>,
  { isUnverified = false, mayReadUser = false, encode = identityOf } = {},
): IdentitySource {
  return {
    types: [type],
    isUnverified,
    mayReadUser,
    resolve: (request, observe) =>
      chain(find(request, observe), (value) =>
        value === undefined || value === '' ? undefined : encode(type, value),
      ),
    fromValues: (values) => encode(type, single(values)),
  };
}

/**
 * Converts an id to a string. Returns `undefined` for other types, NaN and infinities, which would
 * give many clients the same id.
 */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'bigint' ? String(value) : undefined;
}
