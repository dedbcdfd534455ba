import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, medianRatio, quantile } from '../support/statistics.mjs';

const ROUNDS = { least: 20, most: 20, milliseconds: 0 };
const CALLS = 100_000;
const IDENTITIES = 1_000_000;

/** Processor time per call of the guard, and heap, with and without a console. */
export async function run() {
  printHeading(
    'The console: one call of the guard, and a flood',
    'The guard of one route over memory storage, called past HTTP, with one limit and header fields; ns of processor time per call,\n' +
      `of ${CALLS.toLocaleString('en')} calls. One process per row, called in turn; one warm-up round, then ${ROUNDS.least}; medians of the ratios within a round.\n` +
      `Then ${IDENTITIES.toLocaleString('en')} identities are refused by 20 policies: bytes by which the heap grows, array buffers included.`,
  );
  const rows = ['none', 'console'].map((name) => ({ name, child: startChild('console', name) }));
  try {
    for (const { child } of rows) await child.ask('call', CALLS);
    const rounds = await interleave(rows, ROUNDS, ({ child }) => child.ask('call', CALLS));
    const times = rows.map((row) => rounds.get(row));
    const heaps = [];
    for (const { child } of rows) heaps.push(await child.ask('flood', IDENTITIES));
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
    await Promise.all(rows.map(({ child }) => child.stop()));
  }
}
