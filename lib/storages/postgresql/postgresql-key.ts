import { createHash } from 'node:crypto';
import { identityKey, identityKeys } from '../server.storage.js';

/** An index entry holds at most 2704 bytes; one of the log also contains an id and a time. */
const MAX_KEY_BYTES = 1024;
/**
 * NUL, which the server rejects, and lone surrogates, which UTF-8 encodes as the same replacement.
 */
const UNSTORABLE = /\0|\p{Cs}/u;

/**
 * Returns the key of an identity's row: the identity if the server can store it, otherwise its
 * SHA-256.
 */
export function postgreSQLKey(keyPrefix: string, identity: string): string {
  const key = identityKey(keyPrefix, identity);
  if (Buffer.byteLength(key) <= MAX_KEY_BYTES && !UNSTORABLE.test(key)) return key;
  const digest = createHash('sha256').update(identity, 'utf16le').digest('base64url');
  return `${identityKeys(keyPrefix)}#${digest}`; // all other keys end with a brace
}
