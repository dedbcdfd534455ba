import { createHash } from 'node:crypto';
import { describeValue } from './describe.js';

/** Longest identity that is stored as it is, in characters. A longer one is hashed, so that no client can make keys long. */
const MAX_IDENTITY_LENGTH = 128;

/** Joins the parts of an identity of several; no part holds it. */
const SEPARATOR = '/';

/**
 * Returns the identity of a value. The type is part of it, so that the user `1.2.3.4` is not the address 1.2.3.4. A value of
 * more than 128 characters, as encoded, is hashed.
 *
 * @param type such as `'ip'` or `'user'`
 * @throws TypeError when the value is not a string
 */
export function identityOf(type: string, value: string): string {
  // Encoding never shortens.
  if (typeof value === 'string' && value.length > MAX_IDENTITY_LENGTH) return hashedIdentity(type, value);
  const encoded = encodeIdentifier(value);
  return encoded.length <= MAX_IDENTITY_LENGTH ? `${type}:${encoded}` : hashedIdentity(type, value);
}

/** Returns the identity of a secret: a digest, so that no store holds the secret. */
export function hashedIdentity(type: string, value: string): string {
  return `${type}#:${digest(value)}`;
}

/** Marks a digest that stands for a whole identity. No encoded identifier begins so: a `%` in one is followed by hex digits. */
const WHOLE = '%#:';

/**
 * Returns an identity as it is, or its digest if it has more than 128 characters. For identities without a type, which
 * {@link identityOf} bounds: those of bare items and of the per-key methods.
 */
export function boundedIdentity(identity: string): string {
  return identity.length <= MAX_IDENTITY_LENGTH ? identity : WHOLE + digest(identity);
}

/** Joins the identities of several parts, such as a user within a tenant. */
export function joinIdentities(identities: readonly string[]): string {
  return identities.join(SEPARATOR);
}

/** Hashes UTF-16, since UTF-8 has one replacement character for all lone surrogates. */
function digest(value: string): string {
  return createHash('sha256').update(value, 'utf16le').digest('base64url');
}

const UNSAFE = /[%/{}\p{Cc}\p{Cs}]/u;
const EVERY_UNSAFE = /[%/{}\p{Cc}\p{Cs}]/gu;

/**
 * Encodes an identifier for use inside a key: `%`, `/`, `{`, `}`, control characters and lone surrogates are
 * percent-encoded, so two different identities never share a key and none can choose its cluster slot.
 *
 * @throws TypeError when the identifier is not a string.
 */
export function encodeIdentifier(identifier: string): string {
  if (typeof identifier !== 'string') {
    throw new TypeError(
      `A rate limit identifier must be a string, got ${describeValue(identifier)}. Convert it yourself, for example with String(id).`,
    );
  }
  return UNSAFE.test(identifier)
    ? identifier.replace(
        EVERY_UNSAFE,
        (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
      )
    : identifier;
}
