import '../../support/typescript.mjs';
import { startChild } from '../support/child.mjs';
import { drawBars } from '../support/chart.mjs';
import {
  formatNumber,
  printCaption,
  printHeading,
  printTable,
  printTarget,
  showChart,
} from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';
import {
  CALENDAR,
  DECISIONS,
  IN_FLIGHT,
  MOVING,
  NEST_LAB,
  oneAtATime,
  OURS,
  subjects,
} from '../redis-subjects.mjs';

const ROUNDS = { least: 3, most: 7, milliseconds: 25_000 };
const WARM_UP_ROUNDS = 3;
const LIMIT_COUNTS = [1, 3];

const STRATEGIES = [
  'fixed-window',
  'fixed-window-elastic-expiry',
  'sliding-window-counter',
  'token-bucket',
  'moving-window',
];
const PICTURE = 'benchmark-redis.svg';
const HITS = 5;
const MANY_HITS = 1000;

/** Processor time and memory on a Redis server. */
export async function run() {
  const { startRedis } = await import('../../support/servers/redis.ts');
  const server = await startRedis();
  try {
    const picture = await compareTimes(server.uri);
    await compareMemory(server.uri);
    return { [PICTURE]: picture };
  } finally {
    await server.stop();
  }
}

async function compareTimes(uri) {
  printHeading(
    'Redis: one decision',
    `µs of processor time per decision, of the server (INFO cpu) and of the Node process; a private server on the loopback, ${IN_FLIGHT} decisions\n` +
      `in flight unless the row says otherwise, 1,000 keys, ${DECISIONS.toLocaleString('en')} timed at a time. One process per row, called in turn; ${WARM_UP_ROUNDS} rounds to\n` +
      `warm up, then ${ROUNDS.least} to ${ROUNDS.most}; medians. × nest-lab: median over the rounds of the ratio to ${NEST_LAB}.\n` +
      'Several limits: ours in one call; rate-limiter-flexible with RateLimiterUnion, in parallel; bare INCRs in parallel; the others one\n' +
      'after the other, as the guard of @nestjs/throttler and chained middlewares do. All use the same key, which spares\n' +
      'nest-lab the hash that the guard derives from it.',
  );
  const results = new Map();
  for (const limits of LIMIT_COUNTS) {
    const times = await timeAll(uri, limits);
    results.set(limits, times);
    printCaption(`${limits} limit${limits === 1 ? '' : 's'}, ${times.get(OURS).length} rounds:`);
    printTimes(times);
  }
  judgeTimes(results);
  return chartOf(results);
}

async function timeAll(uri, limits) {
  const names = Object.keys(subjects);
  const children = new Map(names.map((name) => [name, startChild('redis', name, uri, limits)]));
  try {
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      for (const child of children.values()) await child.ask('time');
    }
    return await interleave(names, ROUNDS, (name) => children.get(name).ask('time'));
  } finally {
    await Promise.all([...children.values()].map((child) => child.stop()));
  }
}

function printTimes(times) {
  printTable(
    ['', 'Redis CPU µs', '× nest-lab', 'Node CPU µs', '× nest-lab', 'decisions/s', 'median µs'],
    [...times].map(([name, rounds]) => [
      name,
      formatNumber(median(pick(rounds, 'redis'))),
      formatNumber(ratio(times, name, NEST_LAB, 'redis')),
      formatNumber(median(pick(rounds, 'node'))),
      formatNumber(ratio(times, name, NEST_LAB, 'node')),
      formatNumber(median(pick(rounds, 'rate'))),
      formatNumber(median(pick(rounds, 'latency'))),
    ]),
  );
}

/** Why a run may find more than others did. */
const BUSY = 'on a busy machine, the commands of nest-lab share more reads and writes of a socket';

/** Maximum ratios to nest-lab. */
const TARGETS = {
  inFlight: { node: 0.35, redis: 0.7 },
  oneAtATime: { node: 1.5, redis: 1.6, latency: 1.3 },
  threeLimits: { node: 0.28, redis: 0.5 },
  movingWindow: { redis: 1.75 },
};

const SIDES = { node: 'Node CPU', redis: 'Redis CPU', latency: 'median time' };

function judge(times, what, ours, peer, targets) {
  for (const [side, target] of Object.entries(targets))
    printTarget(
      `${what}, our ${SIDES[side]} to nest-lab’s`,
      ratio(times, ours, peer, side),
      'at most',
      target,
      '×',
      BUSY,
    );
}

function judgeTimes(results) {
  const [one, three] = LIMIT_COUNTS.map((limits) => results.get(limits));
  judge(one, '1 limit', OURS, NEST_LAB, TARGETS.inFlight);
  judge(one, '1 limit, one at a time', oneAtATime(OURS), oneAtATime(NEST_LAB), TARGETS.oneAtATime);
  judge(one, 'a moving window', MOVING, NEST_LAB, TARGETS.movingWindow);
  judge(three, '3 limits', OURS, NEST_LAB, TARGETS.threeLimits);
  for (const side of ['node', 'redis']) {
    const calendar = ratio(one, CALENDAR, OURS, side);
    printTarget(`1 limit, ${side} CPU of a calendar to a fixed window`, calendar, 'at most', 1.1, '×');
  }
}

function ratio(times, numerator, denominator, side) {
  return medianRatio(pick(times.get(numerator), side), pick(times.get(denominator), side));
}

function pick(rounds, side) {
  return rounds.map((round) => round[side]);
}

function chartOf(results) {
  showChart(PICTURE, 'Processor time per decision on Redis');
  return drawBars(
    [...results].flatMap(([limits, times]) =>
      ['node', 'redis'].map((side) => ({
        title: `${limits} limit${limits === 1 ? '' : 's'}: µs of processor time of ${side === 'node' ? 'Node' : 'Redis'} per decision`,
        rows: [...times]
          .filter(([name]) => !name.endsWith('one at a time'))
          .map(([name, rounds]) => {
            const value = median(pick(rounds, side));
            return { name, value, label: formatNumber(value), isOurs: name.startsWith('nestjs-limits') };
          }),
      })),
    ),
  );
}

async function compareMemory(uri) {
  printHeading(
    'Redis: bytes per identity',
    `MEMORY USAGE of all keys of one identity after ${HITS} hits in separate ms; our key has 30 bytes. Limits: a minute; or a\n` +
      'minute, an hour, a day and a week.',
  );
  const child = startChild('redis-memory', uri);
  const rows = [];
  try {
    for (const strategy of STRATEGIES) {
      const one = await child.ask('weighOurs', strategy, 1, HITS);
      const four = await child.ask('weighOurs', strategy, 4, HITS);
      rows.push({ name: `nestjs-limits, ${strategy}`, one, four });
    }
    for (const hashed of [true, false]) {
      const one = await child.ask('weighNestLab', 1, HITS, hashed);
      const four = await child.ask('weighNestLab', 4, HITS, hashed);
      rows.push({ name: `${NEST_LAB}, ${hashed ? 'key as its guard hashes it' : 'bare key'}`, one, four });
    }
    const log = await child.ask('weighOurs', 'moving-window', 1, MANY_HITS);
    printMemory(rows, log);
    judgeMemory(rows, log);
  } finally {
    await child.stop();
  }
}

function printMemory(rows, log) {
  printTable(
    ['', '1 limit', 'keys', '4 limits', 'keys'],
    rows.map(({ name, one, four }) => [
      name,
      formatNumber(one.bytes),
      one.keys,
      formatNumber(four.bytes),
      four.keys,
    ]),
  );
  printCaption(
    `A moving window of ${MANY_HITS.toLocaleString('en')} hits: ${formatNumber(log.bytes)} bytes in ${log.keys} keys.`,
  );
}

function judgeMemory(rows, log) {
  for (const { name, one, four } of rows.slice(0, STRATEGIES.length)) {
    // A moving window has a log beside the hash: its target is the one of many hits.
    if (name.endsWith('moving-window')) continue;
    printTarget(`${name}, 1 limit`, one.bytes, 'at most', 140, ' B');
    printTarget(
      `${name}, 4 limits`,
      four.bytes,
      'at most',
      250,
      ' B',
      'five numbers per bucket make refunds exact',
    );
  }
  printTarget(`moving window of ${MANY_HITS.toLocaleString('en')} hits`, log.bytes, 'at most', 11_000, ' B');
}
