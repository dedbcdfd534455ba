import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../', import.meta.url);

/** Packages whose versions a reader has to know to judge the figures. */
const PEERS = [
  '@nestjs/core',
  '@nestjs/platform-fastify',
  '@nestjs/platform-express',
  '@nestjs/throttler',
  'rate-limiter-flexible',
  '@joint-ops/hitlimit',
  'express-rate-limit',
  'autocannon',
  'ioredis',
  '@nest-lab/throttler-storage-redis',
  'rate-limit-redis',
];

export function printMachine() {
  const [cpu] = cpus();
  console.log(
    `${cpu?.model ?? 'unknown processor'}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB; Node ${process.version}`,
  );
  console.log(`${PEERS.map((name) => `${name} ${versionOf(name)}`).join(', ')}`);
  console.log('Wall-clock figures of a shared machine are noisy: compare the ratios within one run.');
}

export function printHeading(title, method) {
  console.log(`\n${title}\n${'='.repeat(title.length)}\n${method}\n`);
}

/** Prints rows as a table; the first column is text, the others are aligned as numbers. */
export function printTable(header, rows) {
  const lines = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const format = (line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ');
  console.log(format(lines[0]));
  console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  for (const line of lines.slice(1)) console.log(format(line));
}

/**
 * Says whether a target of the design is met, and by how much.
 *
 * @param {'at most' | 'at least'} sense
 */
export function printTarget(what, measured, sense, target, unit = '') {
  const isMet = sense === 'at most' ? measured <= target : measured >= target;
  const percent = Math.round((measured / target - 1) * 100);
  const distance =
    Number.isFinite(percent) && percent !== 0
      ? ` (${Math.abs(percent)} % ${percent < 0 ? 'below' : 'above'})`
      : '';
  console.log(
    `${isMet ? 'met    ' : 'NOT MET'}  ${what}: ${formatNumber(measured)}${unit}, target ${sense} ${formatNumber(target)}${unit}${distance}`,
  );
}

export function formatNumber(number) {
  const digits = Number.isInteger(number) || Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
  return number.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function versionOf(name) {
  const file = fileURLToPath(new URL(`node_modules/${name}/package.json`, root));
  return JSON.parse(readFileSync(file, 'utf8')).version;
}
