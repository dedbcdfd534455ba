import { parseArgs } from 'node:util';
import { messageOf, quote } from '../common/describe.js';
import { isRateLimitError } from '../common/errors.js';
import { parseMany } from '../notation/parse.js';
import { isConcurrent } from '../notation/rate-limit-item-concurrent.js';
import { PathPattern } from '../policies/path-pattern.js';
import { AccessLogFormat } from '../replay/access-log.format.js';
import type { ReplayedLimits } from '../replay/compile-limits.js';
import { DEFAULT_JSON_FIELDS, JsonFormat, type JsonFields } from '../replay/json.format.js';
import type { LogFormat } from '../replay/log-entry.js';
import { fieldKey, joinedKey, KEYS, RequestFilter, type Key } from '../replay/request-selection.js';
import { assertAnchor, assertTimeZone } from '../strategies/calendars.js';
import { rateStrategyNames } from '../strategies/strategies.js';
import { UsageError } from './command.js';

/** What to replay, and how. */
export interface ReplayOptions {
  readonly files: readonly string[];
  readonly limit: ReplayedLimits;
  readonly was: ReplayedLimits | undefined;
  readonly format: () => LogFormat;
  readonly filter: RequestFilter;
  readonly key: Key;
  readonly maxKeys: number;
  /** The time zone of times in the report. */
  readonly timeZone: string;
  /** Shares from 0 to 1. */
  readonly suggest: number | undefined;
  readonly maxNewlyRefused: number | undefined;
  readonly json: boolean;
}

const OPTIONS = {
  limit: { type: 'string' },
  was: { type: 'string' },
  strategy: { type: 'string' },
  'was-strategy': { type: 'string' },
  burst: { type: 'string' },
  'was-burst': { type: 'string' },
  'time-zone': { type: 'string' },
  anchor: { type: 'string' },
  format: { type: 'string' },
  field: { type: 'string', multiple: true },
  key: { type: 'string', multiple: true },
  path: { type: 'string', multiple: true },
  method: { type: 'string', multiple: true },
  'max-keys': { type: 'string' },
  suggest: { type: 'string' },
  'max-newly-refused': { type: 'string' },
  json: { type: 'boolean' },
} as const;

const FORMATS = ['combined', 'common', 'json'] as const;
const DEFAULT_MAX_KEYS = 500_000;

/** @throws UsageError naming the option, what was given and what is expected */
export function readReplayOptions(args: string[]): ReplayOptions {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  if (positionals.length === 0)
    throw new UsageError('No log is given. Name files, or "-" for the standard input.');
  if (positionals.filter((file) => file === '-').length > 1)
    throw new UsageError('The standard input "-" is given twice. It can be read once.');
  if (values.limit === undefined) throw new UsageError("No limit is given. Add one: --limit '100/minute'.");

  const strategy = oneOf('strategy', values.strategy ?? 'fixed-window', rateStrategyNames);
  const wasStrategy = oneOf('was-strategy', values['was-strategy'] ?? strategy, rateStrategyNames);
  const timeZone = values['time-zone'];
  const { anchor } = values;
  if (timeZone !== undefined) checked('time-zone', () => assertTimeZone('It', timeZone));
  if (anchor !== undefined) checked('anchor', () => assertAnchor('It', anchor));
  if (values.was === undefined && (values['was-strategy'] ?? values['was-burst']) !== undefined)
    throw new UsageError('--was-strategy and --was-burst belong to --was, which is not given.');
  const position = { timeZone, anchor };
  const limit = {
    ...position,
    strategy,
    burst: wholeNumber('burst', values.burst),
    items: itemsOf('limit', values.limit),
  };
  const was =
    values.was === undefined
      ? undefined
      : {
          ...position,
          strategy: wasStrategy,
          burst: wholeNumber('was-burst', values['was-burst']),
          items: itemsOf('was', values.was),
        };
  const suggest = share('suggest', values.suggest);
  if (suggest !== undefined && limit.items.length > 1)
    throw new UsageError('--suggest finds the amount of one limit, and --limit has several.');

  const format = oneOf('format', values.format ?? 'combined', FORMATS);
  const fields = jsonFields(format, values.field ?? []);
  return {
    files: positionals,
    limit,
    was,
    format: () => (format === 'json' ? new JsonFormat(fields) : new AccessLogFormat()),
    filter: new RequestFilter(
      (values.method ?? []).map(methodOf),
      (values.path ?? []).map((path) => checked('path', () => new PathPattern(path))),
    ),
    key: joinedKey((values.key ?? ['ip']).map((name) => keyOf(format, name))),
    maxKeys: wholeNumber('max-keys', values['max-keys']) ?? DEFAULT_MAX_KEYS,
    timeZone: timeZone ?? 'UTC',
    suggest,
    maxNewlyRefused: share('max-newly-refused', values['max-newly-refused']),
    json: values.json ?? false,
  };
}

function itemsOf(option: string, text: string): ReplayedLimits['items'] {
  const items = checked(option, () => parseMany(text));
  const slots = items.find(isConcurrent);
  if (slots === undefined) return items;
  throw new UsageError(
    `--${option}: "${slots.toString()}" limits requests that run at the same time, and a log does not tell when they end. ` +
      'Replay rates, such as "100/minute".',
  );
}

function oneOf<Name extends string>(option: string, value: string, known: readonly Name[]): Name {
  const name = known.find((one) => one === value);
  if (name !== undefined) return name;
  throw new UsageError(`--${option} is one of ${known.join(', ')}; got ${quote(value)}.`);
}

function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new UsageError(`--${option} is a whole number from 1; got ${quote(text)}.`);
}

/** Reads a percentage as a share from 0 to 1. */
function share(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number] = /^(\d{1,3}(?:\.\d{1,10})?)%$/.exec(text) ?? [];
  if (number !== undefined && Number(number) <= 100) return Number(number) / 100;
  throw new UsageError(`--${option} is a percentage from 0% to 100%, such as 0.5%; got ${quote(text)}.`);
}

function methodOf(text: string): string {
  const method = text.toUpperCase();
  if (/^[A-Z][A-Z_-]*$/.test(method)) return method;
  throw new UsageError(
    `--method is a method such as GET; repeat the option for several. Got ${quote(text)}.`,
  );
}

function jsonFields(format: string, assignments: readonly string[]): JsonFields {
  if (assignments.length > 0 && format !== 'json')
    throw new UsageError('--field names fields of JSON lines: add --format json.');
  const fields: Record<string, string> = { ...DEFAULT_JSON_FIELDS };
  for (const assignment of assignments) {
    const [, name = '', field = ''] = /^(\w+)=(.+)$/s.exec(assignment) ?? [];
    if (!Object.hasOwn(fields, name))
      throw new UsageError(
        `--field is ${Object.keys(fields).join(', ')}, "=" and a field of the log, such as ip=client.address; got ${quote(assignment)}.`,
      );
    fields[name] = field;
  }
  return { ...DEFAULT_JSON_FIELDS, ...fields };
}

function keyOf(format: string, name: string): Key {
  const key = Object.entries(KEYS).find(([known]) => known === name)?.[1];
  if (key !== undefined) return key;
  if (format === 'json' && name !== '') return fieldKey(name);
  throw new UsageError(`--key is ip or user, or with --format json a field of the log; got ${quote(name)}.`);
}

/** Adds the option to errors of the library. */
function checked<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isRateLimitError(error)) throw error;
    throw new UsageError(`--${option}: ${messageOf(error)}`, { cause: error });
  }
}
