/** What a server answers to one command: a line and, if that is `VALUE …`, the data that follows it. */
export interface MemcachedReply {
  readonly line: string;
  readonly value?: string;
}

/** `VALUE <key> <flags> <bytes> <version>` */
const VALUE = /^VALUE \S+ \d+ (\d+) \d+$/;
/** Far more than an answer to us has: what is longer must not fill the memory until its time is over. */
const MAX_LINE_LENGTH = 1024;
const MAX_VALUE_LENGTH = 16 * 2 ** 20;
const LINE_END = '\r\n';
const AFTER_VALUE = '\r\nEND\r\n';

/**
 * Reads the reply that begins at an index; `undefined` while a part of it has not arrived.
 *
 * @param input Latin-1, so that one character is one byte
 * @throws Error when this can never become a reply
 */
export function readReply(input: string, from: number): { reply: MemcachedReply; end: number } | undefined {
  const lineEnd = input.indexOf(LINE_END, from);
  if (lineEnd < 0) {
    if (input.length - from > MAX_LINE_LENGTH) throw new Error('a line without end');
    return undefined;
  }
  const line = input.slice(from, lineEnd);
  const begin = lineEnd + LINE_END.length;
  if (!line.startsWith('VALUE ')) return { reply: { line }, end: begin };

  const [, bytes] = VALUE.exec(line) ?? [];
  if (bytes === undefined) throw new Error('a malformed VALUE line');
  if (Number(bytes) > MAX_VALUE_LENGTH) throw new Error(`a value of ${bytes} bytes`);
  const valueEnd = begin + Number(bytes);
  const end = valueEnd + AFTER_VALUE.length;
  if (input.length < end) return undefined;
  if (!input.startsWith(AFTER_VALUE, valueEnd)) throw new Error('a value of another length than announced');
  return { reply: { line, value: input.slice(begin, valueEnd) }, end };
}
