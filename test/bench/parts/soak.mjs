import '../../support/typescript.mjs';
import autocannon from 'autocannon';
import { Redis } from 'ioredis';
import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const CLIENTS = 5000;
/** After this the windows are as full as they get, and the code is compiled. */
const SETTLED = 2;

/** Much of the library at once for ten minutes: nothing may grow. */
export async function run() {
  printHeading(
    'Soak: mixed load',
    `Two Nest applications on Fastify, one over memory, one over Redis, for ${MINUTES} minutes concurrently: five strategies on one route, logins that count by outcome\n` +
      `and block, limits by hand with refunds, leases, events; ${CLIENTS.toLocaleString('en')} returning clients, and one request in ten from a client that never returns. After each\n` +
      'minute, with the load stopped and garbage collected: heap, handles of the process, keys in Redis.',
  );
  const { startRedis } = await import('../../support/servers/redis.ts');
  const server = await startRedis();
  const redis = new Redis(server.uri);
  const children = [startChild('soak', 'memory://'), startChild('soak', server.uri)];
  try {
    const urls = await Promise.all(children.map((child) => child.ask('url')));
    const minutes = [];
    for (let minute = 0; minute < MINUTES; minute++) {
      const loads = await Promise.all(urls.map(load));
      const [memory, remote] = await Promise.all(children.map((child) => child.ask('weigh')));
      minutes.push({ loads, memory, remote, keys: await redis.dbsize() });
    }
    print(minutes);
    judge(minutes);
  } finally {
    redis.disconnect();
    await Promise.all(children.map((child) => child.stop()));
    await server.stop();
  }
}

let newcomers = 0;

async function load(url) {
  const paths = ['/all', '/all', '/login', '/mail'];
  const result = await autocannon({
    url,
    duration: 60,
    connections: 10,
    requests: paths.map((path) => ({
      path,
      setupRequest: (request) => ({
        ...request,
        headers: {
          'x-api-key':
            Math.random() < 0.1 ? `newcomer-${newcomers++}` : `client-${Math.floor(Math.random() * CLIENTS)}`,
        },
      }),
    })),
  });
  const { 200: passed = {}, 429: refused = {}, 500: failed = {} } = result.statusCodeStats;
  const others = result.errors + result.timeouts;
  return { passed: passed.count ?? 0, refused: refused.count ?? 0, failed: failed.count ?? 0, others };
}

function print(minutes) {
  printTable(
    [
      'minute',
      'requests',
      'refused',
      'errors',
      'memory: heap MB',
      'handles',
      'Redis: heap MB',
      'handles',
      'keys',
    ],
    minutes.map(({ loads, memory, remote, keys }, minute) => [
      minute + 1,
      formatNumber(sum(loads, ({ passed, refused, failed }) => passed + refused + failed)),
      formatNumber(sum(loads, ({ refused }) => refused)),
      sum(loads, ({ others }) => others),
      formatNumber(memory.bytes / 1e6),
      memory.handles,
      formatNumber(remote.bytes / 1e6),
      remote.handles,
      formatNumber(keys),
    ]),
  );
}

function judge(minutes) {
  const first = minutes[Math.min(SETTLED, minutes.length) - 1];
  const last = minutes.at(-1);
  for (const side of ['memory', 'remote']) {
    const name = side === 'memory' ? 'memory' : 'Redis';
    printTarget(
      `heap at the end to that after ${SETTLED} minutes, ${name}`,
      last[side].bytes / first[side].bytes,
      'at most',
      1.1,
      '×',
    );
    printTarget(
      `handles more than after ${SETTLED} minutes, ${name}`,
      last[side].handles - first[side].handles,
      'at most',
      2,
    );
  }
  // They follow the load of the minute, which is that of the machine. Keys that stay would outgrow any earlier minute.
  const most = Math.max(...minutes.slice(0, Math.ceil(minutes.length / 2)).map(({ keys }) => keys));
  printTarget(
    'keys in Redis at the end to the most in the first half',
    last.keys / most,
    'at most',
    1.1,
    '×',
  );
  printTarget(
    'connections that failed',
    sum(minutes, ({ loads }) => sum(loads, ({ others }) => others)),
    'at most',
    0,
  );
}

function sum(rows, pick) {
  return rows.reduce((total, row) => total + pick(row), 0);
}
