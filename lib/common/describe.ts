/** Longest value shown in a message, in characters. */
const MAX_VALUE_LENGTH = 80;
/** Longest message shown inside another, in characters. */
const MAX_MESSAGE_LENGTH = 2000;
/** Longest name of a class or function shown, in characters. */
const MAX_NAME_LENGTH = 60;

/**
 * Characters that could forge a log line, colour it, reverse it or stay invisible: control and
 * format characters, line separators, lone surrogates.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;
/** Secret query parameters of a URI. */
const SECRET_OPTION = /([?&](?:pass(?:word|wd|phrase)?|pwd|secret|token|auth)=)[^&#\s]*/gi;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Describes a value's type, and the value of a primitive, for a message. Never throws. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'undefined';
    case 'string':
      return `the string ${quote(value)}`;
    case 'number':
    case 'boolean':
      return `the ${typeof value} ${value}`;
    case 'bigint':
    case 'symbol':
      return `the ${typeof value} ${quote(value.toString())}`;
    case 'function':
      return `a function (${nameOf(() => value.name) || 'anonymous'})`;
    case 'object':
      return value === null ? 'null' : describeObject(value);
  }
}

/**
 * Formats a text for a message: quoted, on one line, without the credentials of URIs, and shortened
 * with its length if it is long.
 */
export function quote(text: string): string {
  const shown = withoutCredentials(text);
  if (shown.length <= MAX_VALUE_LENGTH) return `"${escape(shown)}"`;
  return `"${escape(shown.slice(0, MAX_VALUE_LENGTH - 3))}..." (${text.length} characters)`;
}

/** Returns the message of any thrown value, for use inside another message. Never throws. */
export function messageOf(error: unknown): string {
  if (typeof error === 'object' || typeof error === 'function') {
    const message = attempt(() => (error as { message?: unknown } | null)?.message);
    return typeof message === 'string' ? oneLine(message) : describeValue(error);
  }
  return oneLine(typeof error === 'symbol' ? error.toString() : `${error as string | number}`);
}

function describeObject(value: object): string {
  const isArray = attempt(() => Array.isArray(value));
  return isArray === true ? 'an array' : `an object (${nameOf(() => value.constructor.name) || 'Object'})`;
}

/** Returns a name, shortened if it is long; empty if it is not a string. */
function nameOf(read: () => unknown): string {
  const name = attempt(read);
  if (typeof name !== 'string') return '';
  return unseenEscaped(name.length <= MAX_NAME_LENGTH ? name : `${name.slice(0, MAX_NAME_LENGTH - 3)}...`);
}

/** Getters and proxies may throw. */
function attempt(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function oneLine(message: string): string {
  const shown = message.replace(/\S+/g, withoutCredentials);
  if (shown.length <= MAX_MESSAGE_LENGTH) return unseenEscaped(shown);
  return `${unseenEscaped(shown.slice(0, MAX_MESSAGE_LENGTH))}... (${message.length} characters)`;
}

/** Removes everything up to the last `@`, since an unencoded password may contain any character. */
function withoutCredentials(text: string): string {
  const start = text.indexOf('://');
  if (start < 0) return text;
  const end = text.lastIndexOf('@');
  const shown = end < start ? text : `${text.slice(0, start)}://***${text.slice(end)}`;
  return shown.replace(SECRET_OPTION, '$1***');
}

function escape(text: string): string {
  return unseenEscaped(text.replace(/["\\]/g, '\\$&'));
}

/** Escapes control characters, invisible ones and lone surrogates, so that a text is safe to print. */
export function unseenEscaped(text: string): string {
  return text.replace(
    UNSEEN,
    (character) => SHORT_ESCAPES[character] ?? `\\u${hexOf(character.codePointAt(0) as number)}`,
  );
}

/** Formats a code point as a JavaScript escape does: four hex digits, or more in braces. */
function hexOf(codePoint: number): string {
  const hex = codePoint.toString(16);
  return codePoint > 0xffff ? `{${hex}}` : hex.padStart(4, '0');
}
