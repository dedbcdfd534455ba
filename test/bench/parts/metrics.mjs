import autocannon from 'autocannon';
import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';

const PAIRS = 20;
const SECONDS = 1;
const WARM_UP_SECONDS = 3;
const LOAD = { connections: 20, pipelining: 10 };
const GUARDS = ['nestjs-limits', 'nestjs-limits, metrics'];

/** The processor time of a request with and without metrics. */
export async function run() {
  printHeading(
    'Metrics by OpenTelemetry',
    `Two Nest applications on Fastify in separate processes, one limit in memory; one of them records metrics. ${PAIRS} alternating pairs of\n` +
      `${SECONDS} s each. CPU: processor time of the application per request.`,
  );
  const applications = GUARDS.map((guard) => ({ guard, child: startChild('application', 'fastify', guard) }));
  try {
    for (const application of applications) {
      application.url = await application.child.ask('url');
      await load(application, WARM_UP_SECONDS);
    }
    const rounds = { least: PAIRS, most: PAIRS, milliseconds: 0 };
    const measured = await interleave(applications, rounds, (application) => load(application, SECONDS));
    const [without, withMetrics] = applications.map((application) => measured.get(application));
    printTable(
      ['', 'CPU µs per request'],
      applications.map((application) => [application.guard, formatNumber(median(measured.get(application)))]),
    );
    printTarget(
      'CPU with metrics, to without, median of the pairs',
      medianRatio(withMetrics, without),
      'at most',
      1.05,
      '×',
    );
  } finally {
    await Promise.all(applications.map(({ child }) => child.stop()));
  }
}

async function load({ url, child }, seconds) {
  await child.ask('startWatch');
  const result = await autocannon({ url, duration: seconds, ...LOAD });
  return (await child.ask('readWatch')) / result['2xx'];
}
