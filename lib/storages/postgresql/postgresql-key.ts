import { createHash } from 'node:crypto';
import { identityKey, identityKeys } from '../server.storage.js';

/** An entry of an index holds 2704 bytes at most, and one of the log has an id and a time, too. */
const MAX_KEY_BYTES = 1024;
/** NUL, which the server refuses, and lone surrogates, which UTF-8 cannot tell apart. */
const UNSTORABLE = /\0|\p{Cs}/u;

/** The key of an identity's row: its name if the server can store that, else the SHA-256 of its name. */
export function postgreSQLKey(keyPrefix: string, identity: string): string {
  const key = identityKey(keyPrefix, identity);
  if (Buffer.byteLength(key) <= MAX_KEY_BYTES && !UNSTORABLE.test(key)) return key;
  const digest = createHash('sha256').update(identity, 'utf16le').digest('base64url');
  return `${identityKeys(keyPrefix)}#${digest}`; // without the closing brace, which every other key has
}
