import '../../support/typescript.mjs';
import { compareRates } from '../support/compare-rates.mjs';
import { printHeading } from '../support/report.mjs';
import { FLEXIBLE, subjects } from '../mongodb-subjects.mjs';

const ROUNDS = { least: 3, most: 5, milliseconds: 20_000 };
/** Ms of one measurement. */
const DURATION = 1500;

const CASES = [
  { title: '100 identities, one at a time', processes: 1, identities: 100, inFlight: 1 },
  { title: '100 identities, 64 in flight', processes: 1, identities: 100, inFlight: 64 },
  { title: 'one identity, 64 in flight', processes: 1, identities: 1, inFlight: 64 },
  { title: 'one identity, 4 processes with 16 in flight each', processes: 4, identities: 1, inFlight: 16 },
];

/** Decisions per second on a MongoDB server. */
export async function run() {
  // As Jest's set-up does for the tests.
  process.env['TEST_MONGOD_BIN'] ??= process.env['MONGOD_BIN'] ?? 'mongod';
  const { startMongo } = await import('../../support/servers/mongo.ts');
  const server = await startMongo();
  try {
    printHeading(
      'MongoDB: decisions per second',
      `One limit; a private stand-alone server on the loopback; ${DURATION} ms at a time, ${ROUNDS.least} to ${ROUNDS.most} rounds after one to warm up; medians. The processes of a\n` +
        `row run concurrently, the rows in turn. × flexible: median over the rounds of the ratio to RateLimiterMongo of ${FLEXIBLE}. Failed: hits\n` +
        'of the timed rounds that ended with an error.',
    );
    for (const one of CASES)
      await compareRates('mongodb', subjects, FLEXIBLE, server.uri, one, ROUNDS, DURATION);
  } finally {
    await server.stop();
  }
}
