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

/** Names a value's type and, where it is short, the value, for use inside a message. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'object')
    return Array.isArray(value) ? 'an array' : `an object (${value.constructor?.name ?? 'Object'})`;
  if (typeof value === 'function') return `a function (${value.name || 'anonymous'})`;
  if (typeof value === 'number' || typeof value === 'boolean') return `the ${typeof value} ${value}`;
  const text = typeof value === 'string' ? value : (value as bigint | symbol).toString();
  return `the ${typeof value} ${JSON.stringify(text)}`;
}
