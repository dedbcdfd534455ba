import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

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
  'mongodb',
  'pg',
  '@nest-lab/throttler-storage-redis',
  'rate-limit-redis',
];

/** What a part has told so far, as blocks of Markdown. */
let blocks = [];
/** Targets that nothing but targets has followed yet. */
let targets = [];

/** The machine and the versions, in two sentences. */
export function describeMachine() {
  const [cpu] = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return [
    `${cpu?.model ?? 'unknown processor'}, ${cpus().length} cores, ${memory} GiB; Node ${process.version}.`,
    `${PEERS.map((name) => `${name} ${versionOf(name)}`).join(', ')}.`,
  ];
}

export function printHeading(title, method) {
  console.log(`\n${title}\n${'='.repeat(title.length)}\n${method}\n`);
  tell(`## ${title}`, escaped(method.replaceAll('\n', ' ')));
}

export function printCaption(text) {
  console.log(`\n${text}`);
  tell(escaped(text));
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
  console.log();
  tell(tableOf(header, rows));
}

/** Shows a picture of what has been printed; `name` is its file. */
export function showChart(name, title) {
  tell(`![${title}](../images/${name})`);
}

/**
 * Says whether a target of the design is met, and by how much.
 *
 * @param {'at most' | 'at least'} sense
 * @param why it is not met, where that is known
 */
export function printTarget(what, measured, sense, target, unit = '', why = '') {
  const isMet = sense === 'at most' ? measured <= target : measured >= target;
  const percent = Math.round((measured / target - 1) * 100);
  const distance =
    Number.isFinite(percent) && percent !== 0
      ? ` (${Math.abs(percent)} % ${percent < 0 ? 'below' : 'above'})`
      : '';
  const goal = `${sense} ${formatNumber(target)}${unit}`;
  const figure = `${formatNumber(measured)}${unit}`;
  console.log(`${isMet ? 'met    ' : 'NOT MET'}  ${what}: ${figure}, target ${goal}${distance}`);
  targets.push([what, figure, goal, isMet ? 'met' : `**not met**${why === '' ? '' : `: ${why}`}`]);
}

/** All that has been printed since the last time, as Markdown. */
export function takeMarkdown() {
  tell();
  const markdown = blocks.join('\n\n');
  blocks = [];
  return markdown;
}

export function formatNumber(number) {
  const digits = Number.isInteger(number) || Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
  return number.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function tell(...more) {
  if (targets.length > 0) blocks.push(tableOf(['target', 'measured', 'goal', ''], targets, false));
  targets = [];
  blocks.push(...more);
}

function tableOf(header, rows, areNumbers = true) {
  const line = (cells) => `| ${cells.map((cell) => escaped(String(cell))).join(' | ')} |`;
  const rule = header.map((_, column) => (column > 0 && areNumbers ? '--:' : '---'));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

function escaped(text) {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function versionOf(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, root), 'utf8')).version;
}
