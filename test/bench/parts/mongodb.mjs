import '../../support/typescript.mjs';
import { compareRates } from '../support/compare-rates.mjs';
import { printHeading, printTarget } from '../support/report.mjs';
import { FLEXIBLE, OURS, PIPELINE, subjects } from '../mongodb-subjects.mjs';

const ROUNDS = { least: 3, most: 5, milliseconds: 20_000 };
/** Ms of one measurement. */
const DURATION = 1500;

/** Why several processes on one identity gain less. */
const LOST =
  'processes that write the same record at the same time lose compare-and-sets to each other, and read it again';

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
    const ratios = new Map();
    for (const one of CASES)
      ratios.set(one, await compareRates('mongodb', subjects, FLEXIBLE, server.uri, one, ROUNDS, DURATION));
    for (const [{ title, inFlight }, ratio] of ratios) {
      if (inFlight === 1) continue; // two round trips, where the others take one
      printTarget(`${title}, ours to ${FLEXIBLE}`, ratio.get(OURS), 'at least', 1, '×', LOST);
      const toPipeline = ratio.get(OURS) / ratio.get(PIPELINE);
      printTarget(`${title}, ours to one update pipeline per hit`, toPipeline, 'at least', 1, '×', LOST);
    }
  } finally {
    await server.stop();
  }
}
