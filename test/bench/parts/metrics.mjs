import autocannon from 'autocannon';
import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';

const PAIRS = 20;
const SECONDS = 1;
const WARM_UP_SECONDS = 3;
const LOAD = { connections: 20, pipelining: 10 };

/** The processor time of a request with and without metrics. */
export async function run() {
  printHeading(
    'Metrics by OpenTelemetry',
    'Two Nest applications on Fastify in one process, since two processes that do the same differ by more. One limit in memory each; one of\n' +
      `them records metrics. ${PAIRS} alternating pairs of ${SECONDS} s each. CPU: processor time per request.`,
  );
  const child = startChild('metrics');
  try {
    const urls = await child.ask('urls');
    for (const url of urls) await load(child, url, WARM_UP_SECONDS);
    const rounds = { least: PAIRS, most: PAIRS, milliseconds: 0 };
    const measured = await interleave(urls, rounds, (url) => load(child, url, SECONDS));
    const [without, withMetrics] = urls.map((url) => measured.get(url));
    printTable(
      ['', 'CPU µs per request'],
      [
        ['without metrics', formatNumber(median(without))],
        ['with metrics', formatNumber(median(withMetrics))],
      ],
    );
    const ratio = medianRatio(withMetrics, without);
    printTarget('CPU with metrics, to without, median of the pairs', ratio, 'at most', 1.05, '×');
  } finally {
    await child.stop();
  }
}

async function load(child, url, seconds) {
  await child.ask('startWatch');
  const result = await autocannon({ url, duration: seconds, ...LOAD });
  return (await child.ask('readWatch')) / result['2xx'];
}
