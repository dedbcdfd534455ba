import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';

const COUNTING = ['fixed-window', 'fixed-window-elastic-expiry', 'sliding-window-counter', 'token-bucket'];
const FEW = { keys: 50, passes: 20, rounds: 150 };
const CASES = [
  ...COUNTING.map((subject) => ({ subject, hits: 10_000, ...FEW })),
  { subject: 'moving-window', hits: 10_000, ...FEW },
  { subject: 'moving-window', hits: 100_000, ...FEW },
  // Its work per hit is proportional to the hits that are live: to warm it up takes their square.
  { subject: '@nestjs/throttler', hits: 10_000, keys: 20, passes: 5, rounds: 10 },
];

/** What a hit costs when its key has been hit often. */
export async function run() {
  printHeading(
    'Cost against the size of the limit',
    'A hit of a key with one hit, and of a key with many, all within the window, under a limit of 1,000,000; median ns of rounds\n' +
      'that alternate in one process per row. Each hit of a key falls into a separate ms, so that a moving window has one entry per hit.',
  );
  const rows = [];
  for (const { subject, hits, keys, passes, rounds } of CASES) {
    const child = startChild('growth', subject, hits, keys, passes, rounds);
    try {
      rows.push({ subject, hits, ...(await child.ask('compare')) });
    } finally {
      await child.stop();
    }
  }
  printTable(
    ['', 'hits', 'ns with one', 'ns with so many', 'ratio'],
    rows.map(({ subject, hits, once, often }) => [
      subject,
      hits.toLocaleString('en'),
      formatNumber(once),
      formatNumber(often),
      formatNumber(often / once),
    ]),
  );
  for (const { subject, hits, once, often } of rows) {
    if (COUNTING.includes(subject)) {
      printTarget(`${subject}, ${hits.toLocaleString('en')} hits to one`, often / once, 'at most', 1.2, '×');
    }
  }
  const moving = rows.filter(({ subject }) => subject === 'moving-window');
  const [tenThousand, hundredThousand] = moving.map(({ often }) => often);
  // Of logarithmic work, ten times the hits cost 5/4 as much; of linear work, ten times.
  printTarget('moving-window, 100,000 hits to 10,000', hundredThousand / tenThousand, 'at most', 1.5, '×');
}
