import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, medianRatio, quantile } from '../support/statistics.mjs';

/** The applications of the child. */
const NAMES = ['none', 'console'];
const ROUNDS = { least: 20, most: 20, milliseconds: 0 };
const CALLS = 100_000;
const IDENTITIES = 1_000_000;

/** Processor time per call of the guard, and heap, with and without a console. */
export async function run() {
  printHeading(
    'The console: one call of the guard, and a flood',
    'The guard of one route over memory storage, called past HTTP, with one limit and header fields; ns of processor time per call,\n' +
      `of ${CALLS.toLocaleString('en')} calls. Two applications in one process, called in turn; one warm-up round, then ${ROUNDS.least}; medians of the ratios within a round.\n` +
      `Then ${IDENTITIES.toLocaleString('en')} identities are refused by 20 policies: bytes by which the heap grows, array buffers included.`,
  );
  const child = startChild('console');
  try {
    for (const name of NAMES) await child.ask('call', name, CALLS);
    const rounds = await interleave(NAMES, ROUNDS, (name) => child.ask('call', name, CALLS));
    const times = NAMES.map((name) => rounds.get(name));
    const heaps = [];
    for (const name of NAMES) heaps.push(await child.ask('flood', name, IDENTITIES));
    printTable(
      ['', 'ns', '× without', 'MB after the flood'],
      ['without a console', 'with a console'].map((name, index) => [
        name,
        formatNumber(quantile(times[index], 0.25)),
        formatNumber(medianRatio(times[index], times[0])),
        formatNumber(heaps[index] / 1e6),
      ]),
    );
    printTarget('guard with a console to none', medianRatio(times[1], times[0]), 'at most', 1.05, '×');
    printTarget('heap after the flood, of the console', (heaps[1] - heaps[0]) / 1e6, 'at most', 20, ' MB');
  } finally {
    await child.stop();
  }
}
