/** One request in a log. */
export interface LogEntry {
  /** Epoch ms. */
  readonly time: number;
  readonly ip: string | undefined;
  readonly user: string | undefined;
  readonly method: string | undefined;
  /** The request target as it was logged: the path with its query. */
  readonly path: string | undefined;
  /** All fields of a JSON line, for keys. */
  readonly record?: Readonly<Record<string, unknown>> | undefined;
}

/** Reads lines of one format. Never throws, and takes time linear in the line. */
export interface LogFormat {
  /** Returns the request of a line, or what is wrong with the line. */
  read(line: string): LogEntry | string;
}

/** The last instant of the year 9999, in epoch ms. Calendars and dates end later. */
const MAX_TIME = 253_402_300_799_999;

/** Returns true for epoch ms that a log can contain. */
export function isLogTime(time: number): boolean {
  return time >= 0 && time <= MAX_TIME;
}
