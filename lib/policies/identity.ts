import { createHash } from 'node:crypto';
import { encodeIdentifier } from '../common/identifier.js';

/** Identities longer than this are hashed, so that no client can make keys long. */
const LONGEST_IDENTITY = 128;

/**
 * The bucket of an identity. Its type is part of it, so that the user `1.2.3.4` is not the address 1.2.3.4.
 *
 * @throws TypeError when the value is not a string
 */
export function bucketOf(type: 'ip' | 'key', value: string): string {
  const encoded = encodeIdentifier(value);
  return encoded.length <= LONGEST_IDENTITY ? `${type}:${encoded}` : `${type}#:${digest(value)}`;
}

/** Of UTF-16, since UTF-8 has one replacement for every lone surrogate. */
function digest(value: string): string {
  return createHash('sha256').update(value, 'utf16le').digest('base64url');
}
