import { quote, unseenEscaped } from '../common/describe.js';
import type {
  ChangeReport,
  LimitReport,
  PeakReport,
  ReplayReport,
  SuggestionReport,
} from '../replay/report.js';
import { drawChart } from './chart.js';

const MAX_CHART_WIDTH = 100;
const MAX_IDENTITY_LENGTH = 45;

/** Formats a report for people. Everything that comes from the log is escaped. */
export function formatReport(report: ReplayReport, timeZone: string, columns = 80): string {
  const time = timeFormat(timeZone);
  const sections = [
    formatRequests(report, time),
    formatLimits(report),
    ...(report.was === undefined ? [] : [formatChanges(report)]),
    ...formatCharts(report, time, Math.min(columns, MAX_CHART_WIDTH)),
    ...(report.worst.length === 0 ? [] : [formatWorst(report)]),
    ...(report.suggestion === undefined ? [] : [formatSuggestion(report.suggestion)]),
    ...(report.gate === undefined ? [] : [formatGate(report, report.gate)]),
    ...formatLines(report),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function formatRequests(
  { requests, identities, untrackedRequests, from, to }: ReplayReport,
  time: Format,
): string[] {
  const [start, end] = [time(from), time(to)];
  const line = `${count(requests, 'request')} of ${count(identities, 'identity')}, ${start} to ${end}`;
  if (untrackedRequests === 0) return [line];
  return [
    line,
    `${count(untrackedRequests, 'request')} of further identities share counts and may be refused too often: raise --max-keys.`,
  ];
}

function formatLimits({ limit, was, requests, identities }: ReplayReport): string[] {
  const rows = [['', 'refused', '', 'identities', '']];
  for (const [report, suffix] of [
    [limit, ''],
    [was, ' (was)'],
  ] as const) {
    if (report === undefined) continue;
    const { limits, strategy, refused, refusedIdentities } = report;
    const name = `${limits.map((one) => one.limit).join('; ')}, ${strategy}${suffix}`;
    rows.push([
      name,
      number(refused),
      percent(refused / requests),
      number(refusedIdentities),
      percent(refusedIdentities / identities),
    ]);
    if (limits.length > 1)
      for (const one of limits)
        rows.push([`  by ${one.limit}`, number(one.refused), percent(one.refused / requests), '', '']);
  }
  return table(rows);
}

function formatChanges({ newlyRefused, newlyAllowed }: ReplayReport): string[] {
  const row = (name: string, change: ChangeReport): string[] => [
    name,
    number(change.requests),
    percent(change.share),
    `of ${count(change.identities, 'identity')}`,
  ];
  return table([row('newly refused', newlyRefused), row('newly allowed', newlyAllowed)]);
}

function formatCharts({ limit, was }: ReplayReport, time: Format, width: number): string[][] {
  const highest = Math.max(limit.peak?.refused ?? 0, was?.peak?.refused ?? 0);
  if (highest === 0) return [];
  const chart = (report: LimitReport, title: string): string[] => [
    `Refused per minute${title}${describePeak(report.peak, time)}`,
    ...drawChart(
      report.refusedPerMinute.map((span) => ({ label: time(span.time), value: span.refused })),
      width,
      highest,
    ),
  ];
  return was === undefined ? [chart(limit, '')] : [chart(limit, ''), chart(was, ' (was)')];
}

function describePeak(peak: PeakReport | undefined, time: Format): string {
  return peak === undefined ? ': none' : `, at most ${number(peak.refused)} at ${time(peak.time)}`;
}

function formatWorst({ worst, was }: ReplayReport): string[] {
  const header = [
    'worst identities',
    'requests',
    'refused',
    '',
    ...(was === undefined ? [] : ['was refused']),
  ];
  const rows = worst.map(({ identity, requests, refused, wasRefused }) => [
    shorten(identity),
    number(requests),
    number(refused),
    percent(refused / requests),
    ...(wasRefused === undefined ? [] : [number(wasRefused)]),
  ]);
  return table([header, ...rows]);
}

function formatSuggestion({ target, limit, refusedShare, below }: SuggestionReport): string[] {
  if (below === undefined)
    return [
      `No amount refuses at most ${percent(target)}: not below ${percent(refusedShare)}, with ${limit}.`,
    ];
  return [
    `Smallest limit that refuses at most ${percent(target)}: ${limit} (${percent(refusedShare)}). ${below.limit} refuses ${percent(below.refusedShare)}.`,
  ];
}

function formatGate({ newlyRefused }: ReplayReport, gate: NonNullable<ReplayReport['gate']>): string[] {
  const verdict = gate.passed ? 'Passed' : 'Failed';
  const compared = gate.passed ? 'at most' : 'more than';
  return [
    `${verdict}: ${percent(newlyRefused.share)} of the requests are newly refused, ${compared} ${percent(gate.maxNewlyRefused)}.`,
  ];
}

function formatLines({ lines }: ReplayReport): string[][] {
  const reasons = [
    [lines.malformed, 'malformed'],
    [lines.outOfOrder, 'more than a minute older than a line before'],
    [lines.withoutKey, 'without the key'],
    [lines.notSelected, 'not selected by --path and --method'],
  ] as const;
  const skipped = reasons.filter(([lineCount]) => lineCount > 0);
  if (skipped.length === 0) return [];
  return [
    [
      `Lines that do not count, of ${number(lines.read)}:`,
      ...table(skipped.map(([lineCount, reason]) => ['', number(lineCount), reason])),
      ...lines.examples.map(
        ({ file, line, reason, text }) => `  ${unseenEscaped(file)}:${line}: ${reason}: ${quote(text)}`,
      ),
    ],
  ];
}

type Format = (isoTime: string) => string;

/** Formats a time as `2026-10-10 13:55`. */
function timeFormat(timeZone: string): Format {
  // Sweden writes dates as ISO 8601 does.
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return (isoTime) => format.format(new Date(isoTime));
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function count(value: number, noun: 'request' | 'identity'): string {
  const plural = noun === 'identity' ? 'identities' : 'requests';
  return `${number(value)} ${value === 1 ? noun : plural}`;
}

function percent(share: number): string {
  if (share > 0 && share < 0.00001) return '<0.001%';
  // The rest of a share near 1 is what matters: 99.99% is not 100%.
  const format = { maximumFractionDigits: share < 0.01 || share > 0.99 ? 3 : 2 };
  return `${(100 * share).toLocaleString('en', format)}%`;
}

function shorten(identity: string): string {
  const text = unseenEscaped(identity);
  return text.length <= MAX_IDENTITY_LENGTH ? text : `${text.slice(0, MAX_IDENTITY_LENGTH - 3)}...`;
}

/** Aligns rows: the first column is text, and so are those that do not start with a digit. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const isText = column === 0 || /^[a-z]+ /.test(cell);
        return isText ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
      })
      .join('  ')
      .trimEnd(),
  );
}
