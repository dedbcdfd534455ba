import '../../support/typescript.mjs';
import { compareRates } from '../support/compare-rates.mjs';
import { printHeading, printTarget } from '../support/report.mjs';
import { FLEXIBLE, OURS, subjects } from '../postgresql-subjects.mjs';

const ROUNDS = { least: 3, most: 9, milliseconds: 40_000 };
/** Ms of one measurement. */
const DURATION = 1500;

/** Minimum ratio of the fixed window to the peer, in decisions per second. */
const CASES = [
  { title: '1,000 identities, one at a time', processes: 1, identities: 1000, inFlight: 1, target: 1 },
  { title: '1,000 identities, 64 in flight', processes: 1, identities: 1000, inFlight: 64, target: 3 },
  { title: 'one identity, 64 in flight', processes: 1, identities: 1, inFlight: 64, target: 10 },
  {
    title: '1,000 identities, 4 processes with 50 in flight each',
    processes: 4,
    identities: 1000,
    inFlight: 50,
    target: 4,
  },
  {
    title: 'one identity, 4 processes with 50 in flight each',
    processes: 4,
    identities: 1,
    inFlight: 50,
    target: 15,
  },
];

/** Decisions per second on a PostgreSQL server. */
export async function run() {
  const { startPostgres } = await import('../../support/servers/postgres.ts');
  const server = await startPostgres({ settings: { fsync: 'on', max_connections: '200' } });
  const ratios = [];
  try {
    printHeading(
      'PostgreSQL: decisions per second',
      `One limit; a private server on the loopback; ${DURATION} ms at a time, ${ROUNDS.least} to ${ROUNDS.most} rounds after one to warm up; medians. The processes of a\n` +
        `row run concurrently, the rows in turn. × flexible: median over the rounds of the ratio to RateLimiterPostgres of ${FLEXIBLE}. Failed: hits\n` +
        'of the timed rounds that ended with an error. The server is configured as in production: the table of the peer is logged, ours is not. The peer has the ten connections of a\n' +
        'pool of pg, ours has four.',
    );
    for (const one of CASES)
      ratios.push(await compareRates('postgresql', subjects, FLEXIBLE, server.uri, one, ROUNDS, DURATION));
    CASES.forEach(({ title, target }, index) =>
      printTarget(`${title}, ours to ${FLEXIBLE}`, ratios[index].get(OURS), 'at least', target, '×'),
    );
  } finally {
    await server.stop();
  }
}
