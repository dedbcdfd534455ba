import { deepStrictEqual } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loggedRequests, writeAccessLog } from '../support/access-log.mjs';
import { countRefusals, fixedWindow, movingWindow } from '../support/count-refusals.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';

const LINES = Number(process.env.REPLAY_LINES ?? 5_000_000);
const CLIENTS = 100_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Arguments of the command, and the same for the count without the library. */
const CASES = [
  { args: ['--limit', '60/minute'], limit: () => fixedWindow(60, MINUTE) },
  {
    args: ['--limit', '60/minute', '--was', '120/minute'],
    limit: () => fixedWindow(60, MINUTE),
    was: () => fixedWindow(120, MINUTE),
  },
  {
    args: ['--limit', '60/hour', '--was', '100/hour', '--was-strategy', 'moving-window'],
    limit: () => fixedWindow(60, HOUR),
    was: () => movingWindow(100, HOUR),
  },
  {
    args: ['--limit', '60/minute', '--strategy', 'moving-window'],
    limit: () => movingWindow(60, MINUTE),
  },
  {
    args: ['--limit', '60/minute', '--path', '/api/**'],
    limit: () => fixedWindow(60, MINUTE),
    selects: ({ target }) => target.startsWith('/api/'),
  },
];

const executable = fileURLToPath(new URL('../../../dist/esm/cli/bin.js', import.meta.url));
/** Prints what the process has used when it ends. */
const MEASURE = `data:text/javascript,process.on('exit',()=>process.stderr.write(JSON.stringify(process.resourceUsage())))`;

/** The command `nestjs-limits replay` on a large log. */
export async function run() {
  printHeading(
    'Replay of an access log',
    `\`nestjs-limits replay\` on a generated log of ${LINES.toLocaleString('en')} lines in the format "combined" with ${CLIENTS.toLocaleString('en')} addresses. Lines per second of\n` +
      'processor time, of all threads and from the start of the process to its end; peak resident memory. Requests and identities, how many are\n' +
      'refused, newly refused and newly allowed, are exactly those of a count with a plain Map, without the library.',
  );
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-limits-replay-'));
  try {
    const log = join(folder, 'access.log');
    await writeAccessLog(log, loggedRequests(LINES, CLIENTS));
    const rows = [];
    for (const one of CASES) rows.push(await replay(log, one));
    printTable(
      ['', 'lines/s', 'peak MB', 'refused', 'identities'],
      rows.map(({ args, rate, peak, refused }) => [
        args.join(' '),
        ...[rate, peak, refused.requests, refused.identities].map(formatNumber),
      ]),
    );
    printTarget('reading under one limit', rows[0].rate, 'at least', 200_000, ' lines/s');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function replay(log, { args, limit, was, selects = () => true }) {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', MEASURE, executable, 'replay', log, '--json', ...args],
    { maxBuffer: 2 ** 24 },
  );
  const report = JSON.parse(stdout);
  if (report.lines.read !== LINES || report.lines.malformed > 0)
    throw new Error(`Read ${JSON.stringify(report.lines)}.`);
  const requests = select(loggedRequests(LINES, CLIENTS), selects);
  const counted = countRefusals(requests, limit(), was?.());
  deepStrictEqual(countsOf(report), counted);
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(stderr);
  return {
    args,
    rate: LINES / ((userCPUTime + systemCPUTime) / 1e6),
    peak: maxRSS / 1024,
    refused: counted.refused,
  };
}

function* select(requests, selects) {
  for (const request of requests) if (selects(request)) yield request;
}

function countsOf({ requests, identities, limit, was, newlyRefused, newlyAllowed }) {
  const refusedBy = ({ refused, refusedIdentities }) => ({
    requests: refused,
    identities: refusedIdentities,
  });
  const changed = ({ requests, identities }) => ({ requests, identities });
  return {
    requests,
    identities,
    refused: refusedBy(limit),
    ...(was === undefined ? {} : { wasRefused: refusedBy(was) }),
    newlyRefused: changed(newlyRefused),
    newlyAllowed: changed(newlyAllowed),
  };
}
