import { createHash } from 'node:crypto';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';

/** What the protocol takes as a key. */
const PLAIN_KEY = /^[\x21-\x7e]{1,250}$/;
/** Leaves room for a digest. */
const PLAIN_PREFIX = /^[\x21-\x7e]{1,200}$/;

/**
 * The name of a key on the server: the key itself where the protocol takes it; else, if it is longer than 250 bytes or has
 * white space, control characters or anything beyond ASCII, its SHA-256. What stands before the first brace, where other keys
 * have a colon, keeps the two kinds apart: nobody can choose an identity that meets another's digest.
 */
export function memcachedKey(keyPrefix: string, key: string): string {
  if (PLAIN_KEY.test(key)) return key;
  // UTF-16 keeps lone surrogates apart, which in UTF-8 are all the same.
  return `${keyPrefix}#{${createHash('sha256').update(key, 'utf16le').digest('base64url')}}`;
}

/** Refuses a prefix that the protocol does not take. */
export function assertMemcachedPrefix(keyPrefix: string): void {
  if (PLAIN_PREFIX.test(keyPrefix)) return;
  throw new ConfigurationError(
    `The keyPrefix of a Memcached storage must be up to 200 visible ASCII characters; got ${describeValue(keyPrefix)}.`,
  );
}
