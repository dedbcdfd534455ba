import { ACCESS_LOG_TIME_LENGTH, AccessLogTimes } from './access-log-time.js';
import { isLogTime, type LogEntry, type LogFormat } from './log-entry.js';

const [SPACE, BACKSLASH] = [0x20, 0x5c];
/** Length of `[time] ` before the request. */
const TIME_FIELD_LENGTH = ACCESS_LOG_TIME_LENGTH + 3;

/**
 * The formats "common" and "combined" of nginx and Apache, which differ only in fields that a limit
 * does not need:
 *
 *     203.0.113.7 - ada [10/Oct/2026:13:55:36 +0200] "GET /api HTTP/1.1" 200 512 "referer" "agent"
 *
 * The time is read backwards from the first quote, which both servers escape in values: a user name
 * with spaces and brackets cannot forge it.
 */
export class AccessLogFormat implements LogFormat {
  readonly #times = new AccessLogTimes();

  read(line: string): LogEntry | string {
    const quote = findQuote(line, 0);
    if (quote === -1) return 'no request in quotes';
    const start = quote - TIME_FIELD_LENGTH;
    if (start < 0 || line[start] !== '[' || line[quote - 2] !== ']' || line.charCodeAt(quote - 1) !== SPACE)
      return 'no time in brackets before the request';
    const time = this.#times.read(line, start + 1);
    if (!isLogTime(time)) return 'the time is not one such as 10/Oct/2026:13:55:36 +0200';

    const addressEnd = line.indexOf(' ');
    const identEnd = line.indexOf(' ', addressEnd + 1);
    if (addressEnd < 1 || identEnd >= start - 2 || line.charCodeAt(start - 1) !== SPACE)
      return 'no address, identity and user before the time';

    const end = findQuote(line, quote + 1);
    if (end === -1) return 'the request has no closing quote';
    if (!isStatus(line, end + 1)) return 'no status after the request';
    const methodEnd = line.indexOf(' ', quote);
    if (methodEnd === -1 || methodEnd >= end || !isMethod(line, quote + 1, methodEnd))
      return 'the request does not start with a method and a path';
    return new AccessLogEntry(time, line, addressEnd, identEnd, start - 1, methodEnd, end);
  }
}

/** A line and where its fields end. Cuts out only those that are read. */
class AccessLogEntry implements LogEntry {
  constructor(
    readonly time: number,
    private readonly line: string,
    private readonly addressEnd: number,
    private readonly identEnd: number,
    private readonly userEnd: number,
    private readonly methodEnd: number,
    private readonly requestEnd: number,
  ) {}

  get ip(): string {
    return this.line.slice(0, this.addressEnd);
  }

  get user(): string | undefined {
    const user = this.line.slice(this.identEnd + 1, this.userEnd);
    return user === '-' ? undefined : user;
  }

  get method(): string {
    return this.line.slice(this.line.lastIndexOf('"', this.methodEnd) + 1, this.methodEnd);
  }

  get path(): string {
    const protocol = this.line.lastIndexOf(' HTTP/', this.requestEnd);
    return this.line.slice(this.methodEnd + 1, protocol > this.methodEnd ? protocol : this.requestEnd);
  }
}

/** Returns the index of the first quote that is not escaped; -1 if there is none. */
function findQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at !== -1; at = line.indexOf('"', at + 1)) {
    let before = at - 1;
    while (before >= from && line.charCodeAt(before) === BACKSLASH) before--;
    if ((at - before) % 2 === 1) return at;
  }
  return -1;
}

/** Returns true if a space and three digits follow. */
function isStatus(line: string, at: number): boolean {
  return (
    line.charCodeAt(at) === SPACE &&
    isDigit(line.charCodeAt(at + 1)) &&
    isDigit(line.charCodeAt(at + 2)) &&
    isDigit(line.charCodeAt(at + 3))
  );
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Returns true for capital letters, `-` and `_`, at least one. */
function isMethod(line: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = line.charCodeAt(at);
    if (!((code >= 0x41 && code <= 0x5a) || code === 0x2d || code === 0x5f)) return false;
  }
  return to > from;
}
