import type { Readable } from 'node:stream';
import { messageOf } from '../common/describe.js';
import { isRateLimitError } from '../common/errors.js';
import type { Limit } from '../core/limit.js';
import { parseMany } from '../notation/parse.js';
import { compileLimits, largestAmount, type ReplayedLimits } from '../replay/compile-limits.js';
import { Identities } from '../replay/identities.js';
import { LimitReplay } from '../replay/limit-replay.js';
import { LineCounts, LogReader, type LoggedRequest } from '../replay/log-reader.js';
import { mergeByTime } from '../replay/merge-by-time.js';
import { Rehearsal } from '../replay/rehearsal.js';
import {
  reportReplay,
  reportSuggestion,
  type ReplayReport,
  type SuggestionReport,
} from '../replay/report.js';
import { suggestAmount } from '../replay/suggest-amount.js';
import { type Command, CommandError, EXIT, type Output, type Terminal, UsageError } from './command.js';
import { LogFile } from './log-file.js';
import { Progress } from './progress.js';
import { readReplayOptions, type ReplayOptions } from './replay-options.js';
import { formatReport } from './replay-text.js';

const USAGE = `Usage: nestjs-limits replay <log>... --limit <limits> [options]

Applies limits to the requests of access logs, on the clock of the logs, and reports which would have
been refused. Files are merged by time; "-" is the standard input; .gz files are decompressed.

  --limit <limits>           '100/minute', or several: '10/second; 1000/hour'
  --was <limits>             the present limits: reports newly refused and newly allowed requests
  --strategy <name>          default: fixed-window
  --burst <n>                capacity of a token bucket
  --was-strategy <name>, --was-burst <n>   the same for --was; default: the strategy of --limit
  --time-zone <zone>         of calendar windows, and of times in the report; default: UTC
  --anchor <date>            of calendar windows

  --format <name>            combined (default), common or json
  --field <name>=<field>     field of JSON lines for time, ip, user, method or path: ip=req.remoteAddress
  --key <name>               ip (default) or user, or a field of JSON lines; repeat it to join several
  --path <pattern>           only these paths: '/api/**'; repeat it for several
  --method <name>            only these methods; repeat it for several
  --max-keys <n>             identities that are counted separately; default: 500000

  --suggest <share>          finds the smallest amount that refuses at most this share: 0.1%
  --max-newly-refused <share>   fails if a larger share of the requests is newly refused: 0.5%
  --json                     prints the report as JSON

Exit codes: 0, 1 if more than --max-newly-refused are newly refused, 2 if the replay cannot run.
`;

/** Replays access logs under limits. */
export const replay: Command = {
  summary: 'Shows what limits would have refused of the requests in an access log.',
  usage: USAGE,
  run: async (args, terminal) => {
    const options = readReplayOptions(args);
    const report = await runReplay(options, terminal);
    const text = options.json
      ? formatJson(report)
      : formatReport(report, options.timeZone, terminal.stdout.columns);
    terminal.stdout.write(text);
    return report.gate?.passed === false ? EXIT.failed : EXIT.ok;
  },
};

async function runReplay(options: ReplayOptions, { stdin, stderr }: Terminal): Promise<ReplayReport> {
  const { limit, was, maxKeys, suggest, maxNewlyRefused } = options;
  const limits = await compiled('limit', limit);
  const wasLimits = was && (await compiled('was', was));
  const logs = await Logs.find(options, stdin, stderr);
  if (suggest !== undefined) logs.assertReadableAgain();

  const rehearsal = new Rehearsal(limits, wasLimits, maxKeys);
  const counts = new LineCounts();
  try {
    await logs.read(counts, (request) => rehearsal.add(request));
    if (rehearsal.requests === 0) throw new CommandError(describeEmpty(counts));
    const report = reportReplay(rehearsal, counts);
    return {
      ...report,
      ...(suggest === undefined ? {} : { suggestion: await suggestLimit(suggest, options, rehearsal, logs) }),
      ...(maxNewlyRefused === undefined
        ? {}
        : { gate: { maxNewlyRefused, passed: report.newlyRefused.share <= maxNewlyRefused } }),
    };
  } finally {
    rehearsal.close();
  }
}

async function compiled(option: string, limits: ReplayedLimits): Promise<Limit[]> {
  try {
    return await compileLimits(limits);
  } catch (error) {
    if (!isRateLimitError(error)) throw error;
    throw new UsageError(`--${option}: ${messageOf(error)}`, { cause: error });
  }
}

/** The logs of a replay, which can be read several times if they are files. */
class Logs {
  readonly #identities: Identities;

  private constructor(
    private readonly files: readonly LogFile[],
    private readonly options: ReplayOptions,
    private readonly stderr: Output,
  ) {
    this.#identities = new Identities(options.maxKeys);
  }

  static async find(options: ReplayOptions, stdin: Readable, stderr: Output): Promise<Logs> {
    const files = options.files.map((path) => LogFile.find(path, stdin));
    return new Logs(await Promise.all(files), options, stderr);
  }

  /** @throws UsageError for logs that can be read only once */
  assertReadableAgain(): void {
    const once = this.files.find(({ size }) => size === undefined);
    if (once === undefined) return;
    throw new UsageError(
      `--suggest reads the logs several times, and ${once.name} is not a file. Write it to a file first.`,
    );
  }

  /** Reads all requests in the order of their times. */
  async read(counts: LineCounts, add: (request: LoggedRequest) => void): Promise<void> {
    const reading = { ...this.options, identities: this.#identities };
    const readers = this.files.map((file) => new LogReader(file.name, file.chunks(), reading, counts));
    const progress = new Progress(this.stderr, () => this.#describeProgress(counts));
    try {
      for await (const batch of mergeByTime(readers)) {
        for (const request of batch) add(request);
        progress.update();
      }
    } finally {
      progress.end();
    }
  }

  #describeProgress({ lines }: LineCounts): string {
    const size = this.files.reduce((sum, file) => sum + (file.size ?? NaN), 0);
    const read = this.files.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
    const done = size > 0 ? `, ${Math.floor((100 * read) / size)}%` : '';
    return `${lines.toLocaleString('en')} lines${done}`;
  }
}

async function suggestLimit(
  target: number,
  { limit, maxKeys }: ReplayOptions,
  rehearsal: Rehearsal,
  logs: Logs,
): Promise<SuggestionReport> {
  const [item] = limit.items;
  const [first] = rehearsal.limit.limits;
  if (item === undefined || first === undefined) throw new TypeError('There is no limit.');
  const describe = (amount: number): string => `${amount} per ${item.multiples} ${item.granularity.name}`;
  const measure = async (amount: number): Promise<number> => {
    if (amount === item.amount) return rehearsal.limit.refused / rehearsal.requests;
    const limits = await compileLimits({ ...limit, items: parseMany(describe(amount)) });
    const attempt = new LimitReplay(limits, maxKeys);
    try {
      await logs.read(new LineCounts(), (request) => void attempt.allows(request));
      return attempt.refused / rehearsal.requests;
    } finally {
      attempt.close();
    }
  };
  const max = largestAmount(limit, first, rehearsal.mostRequests);
  const suggestion = await suggestAmount(target, Math.max(1, item.amount), max, measure);
  return reportSuggestion(target, suggestion, describe);
}

function describeEmpty({ lines, examples, withoutKey, notSelected }: LineCounts): string {
  if (lines === 0) return 'The logs are empty.';
  const [example] = examples;
  const reasons = [
    ...(example === undefined ? [] : [`line ${example.line} of ${example.file}: ${example.reason}`]),
    ...(withoutKey === 0 ? [] : [`${withoutKey} lack the key`]),
    ...(notSelected === 0 ? [] : [`--path and --method do not select ${notSelected}`]),
  ];
  return `None of the ${lines} lines is a request that counts (${reasons.join('; ')}). Check --format, --key, --path and --method.`;
}

/** Escapes control and invisible characters too, since the output may be shown on a terminal. */
function formatJson(report: ReplayReport): string {
  const json = JSON.stringify(report, null, 2).replace(/[^\n\P{C}]|[\u2028\u2029]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
  return `${json}\n`;
}
