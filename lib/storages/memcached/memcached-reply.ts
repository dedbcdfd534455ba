/** The reply to one command: a line and, after `VALUE …`, the data. */
export interface MemcachedReply {
  readonly line: string;
  readonly value?: string;
}

/** `VALUE <key> <flags> <bytes> <version>` */
const VALUE = /^VALUE \S+ \d+ (\d+) \d+$/;
/**
 * Far more than any expected reply has. Longer input is rejected, so that it cannot fill the memory
 * until the timeout.
 */
const MAX_LINE_LENGTH = 1024;
const MAX_VALUE_LENGTH = 16 * 2 ** 20;
const LINE_END = '\r\n';
const AFTER_VALUE = '\r\nEND\r\n';

/**
 * Reads the reply that begins at an index. Returns `undefined` while it is incomplete.
 *
 * @param input Latin-1: one character per byte
 * @throws Error when the input is not the beginning of a reply
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
