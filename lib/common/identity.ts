import { createHash } from 'node:crypto';
import { describeValue } from './describe.js';

/** Identities longer than this are hashed, so that no client can make keys long. */
const MAX_IDENTITY_LENGTH = 128;

/** Joins the parts of an identity of several; no part holds it. */
const SEPARATOR = '/';

/**
 * The bucket of an identity. Its type is part of it, so that the user `1.2.3.4` is not the address 1.2.3.4.
 *
 * @param type such as `'ip'` or `'user'`
 * @throws TypeError when the value is not a string
 */
export function identityOf(type: string, value: string): string {
  // What is long is long encoded, too.
  if (typeof value === 'string' && value.length > MAX_IDENTITY_LENGTH) return hashedIdentity(type, value);
  const encoded = encodeIdentifier(value);
  return encoded.length <= MAX_IDENTITY_LENGTH ? `${type}:${encoded}` : hashedIdentity(type, value);
}

/** The bucket of an identity that no store may get to know. */
export function hashedIdentity(type: string, value: string): string {
  return `${type}#:${digest(value)}`;
}

/** The bucket of an identity of several parts: of a user within a tenant, for example. */
export function joinIdentities(identities: readonly string[]): string {
  return identities.join(SEPARATOR);
}

/** Of UTF-16, since UTF-8 has one replacement for every lone surrogate. */
function digest(value: string): string {
  return createHash('sha256').update(value, 'utf16le').digest('base64url');
}

const UNSAFE = /[%/{}\p{Cc}\p{Cs}]/u;
const EVERY_UNSAFE = /[%/{}\p{Cc}\p{Cs}]/gu;

/**
 * Makes an identifier safe to stand inside a key: `%`, `/`, `{`, `}`, control characters and lone surrogates are
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
