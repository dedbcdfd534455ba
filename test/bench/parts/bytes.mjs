import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { MOVING, OURS, subjects } from '../subjects.mjs';

const KEYS = 100_000;

/** Bytes per key in memory. */
export async function run() {
  printHeading(
    'Memory: bytes per key',
    `${KEYS.toLocaleString('en')} keys, five hits each, nothing expired; heap and external bytes after a collection, less those before, per key.\n` +
      'The key itself is not counted: the caller holds it. One process per subject.',
  );
  const bytes = new Map();
  for (const name of Object.keys(subjects)) {
    const child = startChild('store', name, KEYS, 'random');
    try {
      bytes.set(name, await child.ask('weigh'));
    } finally {
      await child.stop();
    }
  }
  printTable(
    ['', 'bytes per key', '× ours'],
    [...bytes].map(([name, each]) => [name, formatNumber(each), formatNumber(each / bytes.get(OURS))]),
  );
  printTarget('bytes per key, fixed window', bytes.get(OURS), 'at most', 95, ' B');
  printTarget('bytes per key, moving window', bytes.get(MOVING), 'at most', 250, ' B');
}
