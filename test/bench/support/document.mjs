import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { describeMachine } from './report.mjs';

const docs = new URL('../../../docs/', import.meta.url);

const SUMMARY = 'benchmarks.md';

/** The title of each part and what it measures, in the order of the pages. */
const PAGES = {
  memory: [
    'Decisions in memory',
    'Processor time of a decision in memory: every strategy, and other libraries.',
  ],
  bytes: ['Bytes in memory', 'Bytes that a process holds per key: every strategy, and other libraries.'],
  growth: ['Large limits', 'Whether a hit costs more the more hits its window has.'],
  guard: ['A whole application', 'Requests per second of a Nest application with and without a guard.'],
  metrics: ['Metrics', 'Processor time that metrics add to a request.'],
  rules: ['Many rules', 'Processor time of the guard with one rule and with two hundred.'],
  console: ['The console', 'Processor time and memory that the console adds.'],
  flood: [
    'A flood of identities',
    'Memory under ten million identities, and whether limited ones stay limited.',
  ],
  redis: ['Redis', 'Processor time and bytes on Redis: every strategy, and other libraries.'],
  slots: [
    'Slots of concurrent requests',
    'Processor time of a slot, compared with a hit of a moving window.',
  ],
  mongodb: ['MongoDB', 'Decisions per second on MongoDB, compared with `rate-limiter-flexible`.'],
  postgresql: ['PostgreSQL', 'Decisions per second on PostgreSQL, compared with `rate-limiter-flexible`.'],
  resilience: [
    'Before a remote store',
    'Cached refusals, permits in advance, and a store that does not answer.',
  ],
  replay: ['Replay of a log', 'Lines per second and memory of `nestjs-limits replay`.'],
  soak: ['Ten minutes', 'Heap, handles and keys of applications under mixed load for ten minutes.'],
};

/** All parts, in the order of the pages. */
export const PARTS = Object.keys(PAGES);

const INTRODUCTION = `# Benchmarks

The speed and memory of this library and others, the targets of this project, and those that are not
met.

![Requests per second with a guard, as a share of those without](images/benchmark-guard.svg)

## Method

- \`npm run bench\` builds the package, measures all parts but the last, and writes their pages and
  this one. \`npm run bench -- soak --write\` does so for the last.
- Each library runs in separate processes, all in one run on one machine. It is small, shared and
  noisy: compare ratios within a table, not figures of different tables, and measure on your machine.
- Rows alternate over several rounds after a warm-up; a ratio is the median of the ratios within a
  round.
- Others are used as their documentation recommends. Differences in features (one limit, no header
  fields) are stated.`;

/** Kept by hand: compare it with the pages after a run. */
const FASTER = `## Where others are faster

- **Express**: [\`hitlimit\`](benchmarks/guard.md) adds less to a request.
- **Memory**: the bare store of [\`hitlimit\`](benchmarks/memory.md), which compares nothing with a limit.
- **Redis, one call at a time**: [\`@nest-lab/throttler-storage-redis\`](benchmarks/redis.md). With many
  calls in flight, this library sends them together and takes less. A moving window takes Redis more
  than its fixed window, and one limit more bytes than its bare key.
- **MongoDB and PostgreSQL, one call at a time**: [\`rate-limiter-flexible\` on
  MongoDB](storages/mongodb.md#cost), which needs one round trip, not two; and [on
  PostgreSQL](storages/postgresql.md#cost), if the server does not wait for its disk.`;

/** Writes the page of a part, and what other pages say of it: the summary, and the links to it. */
export async function writePart(part, { markdown, pictures }) {
  const images = new URL('images/', docs);
  await mkdir(images, { recursive: true });
  for (const [name, svg] of Object.entries(pictures)) await writeFile(new URL(name, images), svg);
  const [title, subject] = PAGES[part];
  const [machine, versions] = describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const page = [`# ${title}`, subject, markdown, `Measured on ${date}: ${machine} ${versions}`];
  const pages = await drawPages({ [part]: page.join('\n\n') });
  await mkdir(new URL('benchmarks/', docs), { recursive: true });
  for (const [name, text] of Object.entries(pages)) await writeFile(new URL(name, docs), text);
}

/**
 * The summary and the pages of all parts that have been measured, by their names in docs.
 *
 * @param measured new texts by part; the others stay
 */
export async function drawPages(measured = {}) {
  const texts = new Map();
  for (const part of PARTS) {
    const text = measured[part] ?? (await readPage(nameOf(part)));
    if (text !== '') texts.set(part, text);
  }
  const parts = [...texts.keys()];
  const pages = {};
  for (const [index, part] of parts.entries()) {
    const links = linksOf(parts[index - 1], parts[index + 1]);
    pages[nameOf(part)] = await formatted(`${texts.get(part)}\n\n---\n\n${links}`);
  }
  const [, footer = ''] = (await readFile(new URL(SUMMARY, docs), 'utf8')).split('\n---\n');
  pages[SUMMARY] = await formatted(`${summaryOf(parts, pages)}\n\n---\n${footer}`);
  return pages;
}

function nameOf(part) {
  return `benchmarks/${part}.md`;
}

/** A page without its footer; empty if there is none. */
async function readPage(name) {
  const page = await readFile(new URL(name, docs), 'utf8').catch(() => '');
  return page.split('\n---\n')[0];
}

function linksOf(previous, next) {
  return [
    `All: [Benchmarks](../${SUMMARY})`,
    ...(previous === undefined ? [] : [`Previous: [${PAGES[previous][0]}](${previous}.md)`]),
    ...(next === undefined ? [] : [`Next: [${PAGES[next][0]}](${next}.md)`]),
  ].join(' · ');
}

async function formatted(markdown) {
  const file = new URL(SUMMARY, docs);
  return format(markdown, { ...(await resolveConfig(file)), parser: 'markdown' });
}

function summaryOf(parts, pages) {
  const targets = parts.flatMap((part) =>
    targetsOf(pages[nameOf(part)]).map((target) => ({ part, ...target })),
  );
  const missed = byReason(targets.filter(({ isMet }) => !isMet));
  return [
    INTRODUCTION,
    '## Parts',
    'Each with its first target, and the count of those met. Its page has all tables.',
    tableOf(
      ['part', 'first target', 'measured', 'met'],
      parts.map((part) => {
        const all = targets.filter((target) => target.part === part);
        const met = all.filter(({ isMet }) => isMet);
        return [linkTo(part), all[0].what, all[0].measured, `${met.length}/${all.length}`];
      }),
    ),
    FASTER,
    '## Targets not met',
    `${missed.length} of ${targets.length}:`,
    tableOf(
      ['part', 'target', 'measured', 'goal', 'reason'],
      missed.map(({ part, what, measured, goal, reason }, index) => [
        linkTo(part),
        what,
        measured,
        goal.replace('at most', '≤').replace('at least', '≥'),
        reason !== '' && reason === missed[index - 1]?.reason ? 'the same' : reason,
      ]),
    ),
  ].join('\n\n');
}

function linkTo(part) {
  return `[${part}](${nameOf(part)})`;
}

/** In the order of the parts; those of a part that have the same reason are adjacent. */
function byReason(targets) {
  const groupOf = ({ part, reason }) => `${part}: ${reason}`;
  const groups = [...new Set(targets.map(groupOf))];
  return targets.toSorted((one, other) => groups.indexOf(groupOf(one)) - groups.indexOf(groupOf(other)));
}

/** The rows of the tables that `printTarget` has written into a page. */
function targetsOf(page) {
  const tables = page.matchAll(/^\| target .*\n.*\n((?:\|.*\n)*)/gm);
  return [...tables].flatMap(([, rows]) =>
    rows
      .trim()
      .split('\n')
      .map((row) => {
        const [, what, measured, goal, verdict] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
        const [, reason = ''] = verdict.split('**not met**: ');
        return { what, measured, goal, reason, isMet: verdict === 'met' };
      }),
  );
}

function tableOf(header, rows) {
  const rule = header.map(() => '---');
  return [header, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
