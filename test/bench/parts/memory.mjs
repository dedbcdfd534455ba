import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';
import { OURS, subjects } from '../subjects.mjs';

const ROUNDS = { least: 3, most: 7, milliseconds: 25_000 };
const SETTINGS = [
  { keys: 10_000, access: 'random' },
  { keys: 100_000, access: 'random' },
  { keys: 100_000, access: 'in order' },
];

/** Nanoseconds per decision in memory. */
export async function run() {
  printHeading(
    'Memory: one decision',
    'Five hits per key on fresh stores, the first of which makes the cell; ns of processor time\n' +
      `per hit, garbage collection included. One process per subject, asked in turn; one round to warm up, then ${ROUNDS.least} to ${ROUNDS.most}. Peers that answer with promises are awaited. × ours: median over the rounds of the ratio to \`consume\`.\n` +
      'Random access meets the memory as traffic does, and waits for it most of the time; in order, the processor fetches ahead.',
  );
  const names = Object.keys(subjects);
  const results = [];
  for (const setting of SETTINGS) {
    const times = await timeAll(setting);
    results.push(times);
    console.log(
      `${setting.keys.toLocaleString('en')} keys, ${setting.access}, ${times.get(OURS).length} rounds`,
    );
    printTable(
      ['', 'min', 'median', '× ours'],
      names.map((name) => [
        name,
        formatNumber(Math.min(...times.get(name))),
        formatNumber(median(times.get(name))),
        formatNumber(medianRatio(times.get(name), times.get(OURS))),
      ]),
    );
    console.log();
  }
  for (const [index, { keys, access }] of SETTINGS.entries()) {
    if (keys !== 100_000) continue;
    const times = results[index];
    const ratio = (name) => medianRatio(times.get(name), times.get(OURS));
    const where = `at 100k keys, ${access}`;
    printTarget(`one decision ${where}`, median(times.get(OURS)), 'at most', 350, ' ns');
    printTarget(
      `rate-limiter-flexible to ours ${where}`,
      ratio('rate-limiter-flexible consume'),
      'at least',
      3,
      '×',
    );
    printTarget(`hitlimit (checkLimit) to ours ${where}`, ratio('hitlimit checkLimit'), 'at least', 1.5, '×');
  }
}

async function timeAll({ keys, access }) {
  const names = Object.keys(subjects);
  const children = new Map(names.map((name) => [name, startChild('store', name, keys, access)]));
  try {
    for (const child of children.values()) await child.ask('time');
    return await interleave(names, ROUNDS, (name) => children.get(name).ask('time'));
  } finally {
    await Promise.all([...children.values()].map((child) => child.stop()));
  }
}
