import type { ExecutionContext } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { identityOf } from '../../common/identity.js';
import type { Transport } from '../transports/transport.js';

/** A look-up that may read the authenticated user, and can be repeated once the request is answered. */
export interface EarlyLookup {
  /** The option that finds the value. */
  readonly option: 'user' | 'key' | 'plan';
  /** The value found; `undefined`, `null` or `''` for none. */
  readonly found: unknown;
  /** Looks the value up again. */
  repeat(): unknown;
}

/** A request, as identities look at it. */
export interface IdentifiedRequest {
  readonly context: ExecutionContext;
  readonly transport: Transport;
  /** The identity of the client's address; one for all clients without an address. */
  addressIdentity(): Awaitable<string>;
  /** Reports a look-up before authentication. Absent after authentication. */
  lookedUp?(lookup: EarlyLookup): void;
}

/** A way to find the identity that a request is counted for. */
export interface IdentitySource {
  /** Names the kind: `'ip'`, `'user'`, `'key'`; for `firstOf`, all kinds. */
  readonly types: readonly string[];
  /** True if clients assert it unchecked, so that one client could be any number of identities. */
  readonly isUnverified: boolean;
  /** True if it may read the authenticated user. */
  readonly mayReadUser: boolean;
  /** Returns the identity of a request; `undefined` if the request has none of this kind. */
  resolve(request: IdentifiedRequest): Awaitable<string | undefined>;
  /**
   * Returns the identity for values given by hand.
   *
   * @param values one for each part
   * @throws TypeError if there are more or fewer
   */
  fromValues(values: readonly string[]): string;
}

/** Returns the value of an identity of one part. */
export function single(values: readonly string[]): string {
  const [value, ...others] = values;
  if (value === undefined || others.length > 0)
    throw new TypeError(`The policy is counted for one identity; got ${values.length} identifiers.`);
  return value;
}

/** Creates the source of an identity of one part. */
export function sourceOf(
  type: string,
  find: (request: IdentifiedRequest) => Awaitable<string | undefined>,
  { isUnverified = false, mayReadUser = false, encode = identityOf } = {},
): IdentitySource {
  return {
    types: [type],
    isUnverified,
    mayReadUser,
    resolve: (request) =>
      chain(find(request), (value) =>
        value === undefined || value === '' ? undefined : encode(type, value),
      ),
    fromValues: (values) => encode(type, single(values)),
  };
}

/** Converts an id to a string; `undefined` for a value of another type, NaN and infinities, which would be one id for many. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'bigint' ? String(value) : undefined;
}
