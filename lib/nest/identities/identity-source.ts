import type { ExecutionContext } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { Transport } from '../transports/transport.js';

/** A request whose identity is resolved. */
export interface IdentifiedRequest {
  readonly context: ExecutionContext;
  readonly transport: Transport;
  /** The client's address, if it is known already. */
  readonly address: string | undefined;
  /** Cache of {@link ClientAddresses.identityFor}. */
  addressIdentity: Awaitable<string> | undefined;
}

/** Resolves the identity of a request for one key. */
export interface IdentitySource {
  /** The kinds of identities that it may return: `'ip'`, `'user'`, `'key'`. */
  readonly types: readonly string[];
  /** True if clients can choose the identity freely, since nothing has verified it. */
  readonly isUnverified: boolean;
  /** True if the authenticated user is the identity or a part of it. */
  readonly isOfUser: boolean;
  /** Returns the identity of a request; `undefined` if the request has none. */
  resolve(request: IdentifiedRequest): Awaitable<string | undefined>;
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
