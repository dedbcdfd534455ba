import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { describeMachine } from './report.mjs';

const file = new URL('../../../docs/benchmarks.md', import.meta.url);
const images = new URL('../../../docs/images/', import.meta.url);

/** All parts, in the order of the document. */
export const PARTS = [
  'memory',
  'bytes',
  'growth',
  'guard',
  'rules',
  'flood',
  'redis',
  'mongodb',
  'postgresql',
  'resilience',
  'soak',
];

const TITLES = {
  memory: 'Decisions in memory',
  bytes: 'Bytes in memory',
  growth: 'Large limits',
  guard: 'A whole application',
  rules: 'Many rules',
  flood: 'A flood of identities',
  redis: 'Redis',
  mongodb: 'MongoDB',
  postgresql: 'PostgreSQL',
  resilience: 'Before a remote store',
  soak: 'Ten minutes',
};

const INTRODUCTION = `# Benchmarks

Written by \`npm run bench\` (about ten minutes) and \`npm run bench -- soak --write\` (ten more): this library and its peers, each in processes of its own,
in one run on one machine. Nothing here is a promise: run it on yours.

- The machine of these figures is a small shared one, and noisy. Compare ratios within a table, not figures between tables.
- Rows alternate over several rounds, after some to warm up; a ratio is the median of the ratios within a round.
- Peers are used as their documentation says. Where they do less (one limit, no header fields), that is said.
- A target is what this project holds itself to. Those that are not met are listed as such, with the reason.`;

/** Replaces the section of this part in docs/benchmarks.md; the others stay. */
export async function writePart(part, { markdown, pictures }) {
  const known = sectionsOf(await readFile(file, 'utf8').catch(() => ''));
  const [machine, versions] = describeMachine();
  await mkdir(images, { recursive: true });
  for (const [name, svg] of Object.entries(pictures)) await writeFile(new URL(name, images), svg);
  const date = new Date().toISOString().slice(0, 10);
  known.set(part, `Measured on ${date}: ${machine} ${versions}\n\n${markdown}`);
  const written = PARTS.filter((one) => known.has(one)).map(
    (one) => `## ${TITLES[one]}\n\n<!-- ${one} -->\n\n${known.get(one)}\n\n<!-- end -->`,
  );
  const options = await resolveConfig(file);
  const text = [INTRODUCTION, ...written].join('\n\n');
  await writeFile(file, await format(text, { ...options, filepath: file.pathname }));
}

/** What the document says of each part. */
function sectionsOf(text) {
  const sections = text.matchAll(/^<!-- (\w+) -->\n\n(.*?)\n\n<!-- end -->$/gms);
  return new Map([...sections].map(([, part, markdown]) => [part, markdown]));
}
