import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, medianRatio, quantile } from '../support/statistics.mjs';

const ROUNDS = { least: 5, most: 15, milliseconds: 20_000 };
const CALLS = 200_000;

const ROWS = [
  { name: 'no rule, the limit is the module’s', rules: 0, path: '' },
  { name: '1 rule', rules: 1, path: '/reports/**' },
  { name: '200 rules, the last of them matches', rules: 200, path: '/reports/**' },
  { name: '1 rule, narrower than the route', rules: 1, path: '/reports/42' },
  { name: '200 rules, the last of them narrower', rules: 200, path: '/reports/42' },
];

/** Nanoseconds per call of the guard, by how many rules there are. */
export async function run() {
  printHeading(
    'Rules: one call of the guard',
    'The guard of one route over memory storage, called past HTTP, with one limit from a rule; ns of processor time per call,\n' +
      `of ${CALLS.toLocaleString('en')} calls. One process per row, called in turn; one warm-up round, then ${ROUNDS.least} to ${ROUNDS.most}; lower quartiles,\n` +
      'and medians of the ratios within a round. A rule that covers the route is looked up; a narrower one is matched against each path.',
  );
  const rows = ROWS.map((row) => ({ ...row, child: startChild('rules', row.rules, row.path) }));
  try {
    for (const { child } of rows) await child.ask('call', CALLS);
    const rounds = await interleave(rows, ROUNDS, ({ child }) => child.ask('call', CALLS));
    const times = rows.map((row) => rounds.get(row));
    printTable(
      ['', 'ns', '× no rule'],
      rows.map(({ name }, index) => [
        name,
        formatNumber(quantile(times[index], 0.25)),
        formatNumber(medianRatio(times[index], times[0])),
      ]),
    );
    printTarget('200 rules to one', medianRatio(times[2], times[1]), 'at most', 1.1, '×');
  } finally {
    await Promise.all(rows.map(({ child }) => child.stop()));
  }
}
