import { ACCESS_LOG_TIME_LENGTH, AccessLogTimes } from './access-log-time.js';
import { isLogTime, type LogEntry, type LogFormat } from './log-entry.js';

/** The JSON fields that hold a request. A dot separates the names of nested fields: `req.url`. */
export interface JsonFields {
  readonly time: string;
  readonly ip: string;
  readonly user: string;
  readonly method: string;
  readonly path: string;
}

/** The names of nginx's variables. */
export const DEFAULT_JSON_FIELDS: JsonFields = {
  time: 'time',
  ip: 'remote_addr',
  user: 'remote_user',
  method: 'request_method',
  path: 'request_uri',
};

/** Numbers below are seconds, others ms: this many seconds are in the year 5138, and this many ms in 1973. */
const MIN_MS = 1e11;

const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/;
const NUMBER = /^\d{1,16}(?:\.\d{1,9})?$/;

/** One JSON object per line. */
export class JsonFormat implements LogFormat {
  readonly #times = new AccessLogTimes();
  readonly #paths: Readonly<Record<keyof JsonFields, readonly string[]>>;

  constructor(private readonly fields: JsonFields) {
    this.#paths = {
      time: fields.time.split('.'),
      ip: fields.ip.split('.'),
      user: fields.user.split('.'),
      method: fields.method.split('.'),
      path: fields.path.split('.'),
    };
  }

  read(line: string): LogEntry | string {
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch {
      return 'not JSON';
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return 'not a JSON object';
    const fields = record as Readonly<Record<string, unknown>>;
    const value = valueAt(fields, this.#paths.time);
    if (value === undefined) return `no field "${this.fields.time}"`;
    const time = this.#timeOf(value);
    if (!isLogTime(time))
      return `the field "${this.fields.time}" is neither epoch seconds or ms nor a date and time with a time zone`;
    return {
      time,
      ip: textAt(fields, this.#paths.ip),
      user: textAt(fields, this.#paths.user),
      method: textAt(fields, this.#paths.method),
      path: textAt(fields, this.#paths.path),
      record: fields,
    };
  }

  /** Returns epoch ms; NaN for any value that is not a time. */
  #timeOf(value: unknown): number {
    if (typeof value === 'number') return Math.floor(value < MIN_MS ? value * 1000 : value);
    if (typeof value !== 'string') return NaN;
    if (ISO_TIME.test(value)) return Date.parse(value.replace(' ', 'T'));
    if (NUMBER.test(value)) return this.#timeOf(Number(value));
    return value.length === ACCESS_LOG_TIME_LENGTH ? this.#times.read(value, 0) : NaN;
  }
}

/**
 * Returns a field as text, by the names that lead to it; `undefined` unless it is a non-empty string,
 * a number or a boolean, and for `-`, which stands for none in logs.
 */
export function textAt(
  record: Readonly<Record<string, unknown>>,
  path: readonly string[],
): string | undefined {
  const value = valueAt(record, path);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' && value !== '-' ? value : undefined;
}

function valueAt(record: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  let value: unknown = record;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
