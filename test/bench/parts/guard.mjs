import autocannon from 'autocannon';
import { startChild } from '../support/child.mjs';
import { drawBars } from '../support/chart.mjs';
import { formatNumber, printHeading, printTable, printTarget, showChart } from '../support/report.mjs';
import { interleave, medianRatio, quantile } from '../support/statistics.mjs';

const ROUNDS = { least: 5, most: 20, milliseconds: 150_000 };
const SECONDS = 0.6;
const WARM_UP_SECONDS = 2;
const LOAD = { connections: 20, pipelining: 10 };
const MILLION = 1_000_000;
const LONGEST_WARMING = 5000;

const FASTIFY = [
  { name: 'no guard', guard: 'none' },
  { name: 'a guard that only returns true', guard: 'idle' },
  { name: 'a guard that writes the same two fields by hand', guard: 'fields by hand' },
  { name: 'nestjs-limits', guard: 'nestjs-limits' },
  { name: 'nestjs-limits, after a million hits on the key', guard: 'nestjs-limits', warm: MILLION },
  { name: 'nestjs-limits, 3 limits', guard: 'nestjs-limits, 3 limits' },
  { name: 'nestjs-limits, without header fields', guard: 'nestjs-limits, without header fields' },
  { name: '@nestjs/throttler', guard: '@nestjs/throttler' },
  { name: '@nestjs/throttler, 3 limits', guard: '@nestjs/throttler, 3 limits' },
  { name: '@nestjs/throttler, after many hits on the key', guard: '@nestjs/throttler', warm: MILLION },
];

/** hitlimit answers 500 on Fastify, and express-rate-limit is a middleware of Express. */
const EXPRESS = [
  { name: 'no guard', guard: 'none' },
  { name: 'nestjs-limits', guard: 'nestjs-limits' },
  { name: 'hitlimit', guard: 'hitlimit' },
  { name: 'express-rate-limit', guard: 'express-rate-limit' },
];

/** Requests per second of an application with and without a guard. */
export async function run() {
  printHeading(
    'Guard: requests to a whole application',
    `The same Nest application in a separate process per row, one route, one client; autocannon with ${LOAD.connections} connections × ${LOAD.pipelining} in flight\n` +
      `from this process, ${ROUNDS.least} to ${ROUNDS.most} interleaved rounds of ${SECONDS} s after one of ${WARM_UP_SECONDS} s to warm up. CPU: processor time of the application per request.\n` +
      'Good rounds: the upper quartile of the rates and the lower one of the times, since other work on the machine can only slow a round down.\n' +
      'Median: of the ratios within a round, over all rounds.' +
      ' @nestjs/throttler stores each hit, so its rounds become slower.',
  );
  const fastify = await compare('fastify', FASTIFY);
  const express = await compare('express', EXPRESS);
  const [, idle, byHand, ours, warmed, , withoutFields] = fastify;
  const time = (application, other) => medianRatio(application.times, other.times);
  printTarget(
    'CPU, to a guard that writes the same fields by hand',
    time(ours, byHand),
    'at most',
    1.05,
    '×',
    WORK,
  );
  printTarget(
    'CPU without fields, to a guard that returns true',
    time(withoutFields, idle),
    'at most',
    1.05,
    '×',
    WORK,
  );
  printTarget('CPU after a million hits, to before', time(warmed, ours), 'at most', 1.05, '×', NOISE);
  return { [PICTURE]: chartOf(fastify, express) };
}

/** Why our guard costs more than the floor. */
const WORK =
  'it finds the transport, the policies and the address, keeps the decision for parameters and events, and counts: about 2 µs';

/** Why two applications that do the same may differ. */
const NOISE =
  'two processes that do the same work differ by as much; what a hit costs does not grow, see above';

const PICTURE = 'benchmark-guard.svg';

function chartOf(...platforms) {
  showChart(PICTURE, 'Requests per second with a guard, as a share of those without');
  return drawBars(
    platforms.map((applications, index) => ({
      title: `${index === 0 ? 'Fastify' : 'Express'}: requests/s as a share of no guard`,
      rows: applications.map((application) => {
        const share = goodRate(application) / goodRate(applications[0]);
        return {
          name: application.name,
          value: share,
          label: formatNumber(share),
          isOurs: application.name.startsWith('nestjs-limits'),
        };
      }),
    })),
  );
}

async function compare(platform, rows) {
  const applications = rows.map((row) => ({ ...row, child: startChild('application', platform, row.guard) }));
  try {
    for (const application of applications) {
      application.url = await application.child.ask('url');
      await load(application, WARM_UP_SECONDS);
      await application.child.ask('forget');
      if (application.warm !== undefined)
        application.warmed = await application.child.ask('warm', application.warm, LONGEST_WARMING);
    }
    const rounds = await interleave(applications, ROUNDS, (application) => load(application, SECONDS));
    for (const [application, measured] of rounds) {
      application.rates = measured.map(({ rate }) => rate);
      application.times = measured.map(({ time }) => time);
    }
  } finally {
    await Promise.all(applications.map(({ child }) => child.stop()));
  }
  print(platform, applications);
  return applications;
}

/** Loads an application for some seconds; fails if anything but 200 is answered. */
async function load({ name, url, child }, seconds) {
  await child.ask('startWatch');
  const result = await autocannon({ url, duration: seconds, ...LOAD });
  const time = await child.ask('readWatch');
  const answered = result['2xx'];
  if (answered === 0 || result.non2xx > 0 || result.errors > 0)
    throw new Error(`${name}: ${answered} answers of 200, ${result.non2xx} others, ${result.errors} errors`);
  return { rate: answered / result.duration, time: time / answered };
}

function print(platform, applications) {
  const [none] = applications;
  printTable(
    [
      platform,
      'requests/s',
      '× no guard',
      'median ×',
      'CPU µs',
      '× no guard',
      'median ×',
      'first, last round',
    ],
    applications.map((application) => [
      application.warmed === undefined
        ? application.name
        : `${application.name} (${application.warmed.toLocaleString('en')})`,
      formatNumber(goodRate(application)),
      formatNumber(goodRate(application) / goodRate(none)),
      formatNumber(medianRatio(application.rates, none.rates)),
      formatNumber(goodTime(application)),
      formatNumber(goodTime(application) / goodTime(none)),
      formatNumber(medianRatio(application.times, none.times)),
      `${formatNumber(application.rates[0])}, ${formatNumber(application.rates.at(-1))}`,
    ]),
  );
}

function goodRate({ rates }) {
  return quantile(rates, 0.75);
}

function goodTime({ times }) {
  return quantile(times, 0.25);
}
