import { createHash } from 'node:crypto';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';

/** Matches the keys that the protocol accepts. */
const PLAIN_KEY = /^[\x21-\x7e]{1,250}$/;
/** Matches the prefixes that leave room for a digest. */
const PLAIN_PREFIX = /^[\x21-\x7e]{1,200}$/;

/**
 * Returns the name of a key on the server: the key itself if the protocol accepts it, else its
 * SHA-256. A key is hashed if it is longer than 250 bytes or contains white space, control
 * characters or non-ASCII characters. A hashed key has `#` before the first brace where others have
 * a colon, so no client can choose an identity that collides with another's digest.
 */
export function memcachedKey(keyPrefix: string, key: string): string {
  if (PLAIN_KEY.test(key)) return key;
  // UTF-8 encodes every lone surrogate as the same replacement; UTF-16 does not.
  return `${keyPrefix}#{${createHash('sha256').update(key, 'utf16le').digest('base64url')}}`;
}

/** Throws a `ConfigurationError` for a prefix that the protocol does not accept. */
export function assertMemcachedPrefix(keyPrefix: string): void {
  if (PLAIN_PREFIX.test(keyPrefix)) return;
  throw new ConfigurationError(
    `The keyPrefix of a Memcached storage must be up to 200 visible ASCII characters; got ${describeValue(keyPrefix)}.`,
  );
}
