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

/** A way to tell whom a request is counted for. */
export interface IdentitySource {
  /** Names the kind: `'ip'`, `'user'`, `'key'`; of several to choose from, all of them. */
  readonly types: readonly string[];
  /** Whether clients tell it themselves, unchecked, so that each could be as many as it likes. */
  readonly isUnverified: boolean;
  /** Whether the authenticated user is it, or a part of it. */
  readonly isOfUser: boolean;
  /** The bucket of a request; `undefined` when it has no such identity. */
  resolve(request: IdentifiedRequest): Awaitable<string | undefined>;
  /**
   * The bucket of an identity given by hand.
   *
   * @param values one for each part
   * @throws TypeError when there are more or fewer
   */
  fromValues(values: readonly string[]): string;
}

/** What an identity of one part has to be told. */
export function single(values: readonly string[]): string {
  const [value, ...others] = values;
  if (value === undefined || others.length > 0)
    throw new TypeError(`The policy is counted for one identity; got ${values.length} identifiers.`);
  return value;
}
