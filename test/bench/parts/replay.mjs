import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeAccessLog } from '../support/access-log.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';

const LINES = Number(process.env.REPLAY_LINES ?? 5_000_000);
const CLIENTS = 100_000;
const CASES = [
  ['--limit', '60/minute'],
  ['--limit', '60/minute', '--was', '120/minute'],
  ['--limit', '60/minute', '--strategy', 'moving-window'],
  ['--limit', '60/minute', '--path', '/api/**'],
];

const executable = fileURLToPath(new URL('../../../dist/esm/cli/bin.js', import.meta.url));
/** Prints what the process has used when it ends. */
const MEASURE = `data:text/javascript,process.on('exit',()=>process.stderr.write(JSON.stringify(process.resourceUsage())))`;

/** The command `nestjs-limits replay` on a large log. */
export async function run() {
  printHeading(
    'Replay of an access log',
    `\`nestjs-limits replay\` on a generated log of ${LINES.toLocaleString('en')} lines in the format "combined" with ${CLIENTS.toLocaleString('en')} addresses. Lines per second of\n` +
      'processor time, of all threads and from the start of the process to its end; peak resident memory.',
  );
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-limits-replay-'));
  try {
    const log = join(folder, 'access.log');
    await writeAccessLog(log, LINES, CLIENTS);
    const rows = [];
    for (const args of CASES) rows.push({ args, ...(await replay(log, args)) });
    printTable(
      ['', 'lines/s', 'peak MB'],
      rows.map(({ args, rate, peak }) => [args.join(' '), formatNumber(rate), formatNumber(peak)]),
    );
    printTarget('one limit', rows[0].rate, 'at least', 200_000, 'lines/s');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function replay(log, args) {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', MEASURE, executable, 'replay', log, '--json', ...args],
    { maxBuffer: 2 ** 24 },
  );
  const { lines } = JSON.parse(stdout);
  if (lines.read !== LINES || lines.malformed > 0) throw new Error(`Read ${JSON.stringify(lines)}.`);
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(stderr);
  return { rate: LINES / ((userCPUTime + systemCPUTime) / 1e6), peak: maxRSS / 1024 };
}
