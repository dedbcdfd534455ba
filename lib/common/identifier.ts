import { describeValue } from './describe.js';

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
