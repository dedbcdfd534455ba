import { setTimeout as sleep } from 'node:timers/promises';
import '../../support/typescript.mjs';
import { startChild } from '../support/child.mjs';
import { formatNumber, printCaption, printHeading, printTable, printTarget } from '../support/report.mjs';

const INSTANCES = 4;
const TIMEOUT = 50;
const DOWN = 60_000;

/** Why a request may wait for longer than the timeout. */
const LATE = 'a timer fires a little late, more so on a busy machine';

/** What stands before a remote storage: what it saves, what it costs, and what happens without the store. */
export async function run() {
  const { startRedis } = await import('../../support/servers/redis.ts');
  const { TcpProxy } = await import('../../support/tcp-proxy.ts');
  const server = await startRedis();
  const proxy = await TcpProxy.to(server.port);
  try {
    await refusals(server.uri);
    await leases(server.uri);
    await fallback();
    await blackHole(proxy);
  } finally {
    proxy.close();
    await server.stop();
  }
}

async function refusals(uri) {
  printHeading(
    'Refusals remembered',
    'One identity at its limit sends requests without a pause for six seconds, over Redis.',
  );
  await withChildren(1, async ([child]) => {
    await child.ask('open', uri, {});
    const { asked, calls, each } = await child.ask('insist', 6000);
    printCaption(`${asked.toLocaleString('en')} requests, ${calls} calls of the store.`);
    printTarget('calls of the store in two seconds of refusals', calls / 3, 'at most', 1.34);
    printTarget('a remembered refusal', each, 'at most', 1, ' µs');
  });
}

async function leases(uri) {
  printHeading(
    'Leases',
    'Ten hot identities, 100 decisions in flight, one process, Redis on the loopback; calls of the store and µs of processor time of Node per\n' +
      `decision. Then ${INSTANCES} concurrent processes on one limit of 20,000, with 30,000 hits in total: the admitted hits.`,
  );
  const work = { amount: 10_000_000, decisions: 100_000, inFlight: 100, identities: 10 };
  const rows = [];
  for (const lease of [false, { size: 10 }, { size: 'auto' }]) {
    await withChildren(1, async ([child]) => {
      await child.ask('open', uri, { lease, timeout: 5000 });
      await child.ask('decide', work);
      const { calls, node, rate } = await child.ask('decide', work);
      rows.push({
        name: lease === false ? 'none' : `size ${lease.size}`,
        each: calls / work.decisions,
        node,
        rate,
      });
    });
  }
  printTable(
    ['lease', 'calls per decision', 'Node CPU µs', 'decisions/s'],
    rows.map(({ name, each, node, rate }) => [name, each.toFixed(3), formatNumber(node), formatNumber(rate)]),
  );
  printTarget('calls of the store per decision at k = 10', rows[1].each, 'at most', 0.11);

  for (const strategy of ['fixed-window', 'token-bucket']) {
    await withChildren(INSTANCES, async (children) => {
      const options = { lease: { size: 10 }, instances: INSTANCES, timeout: 5000 };
      await Promise.all(children.map((child) => child.ask('open', uri, options)));
      const order = { strategy, amount: 20_000, decisions: 7500, inFlight: 25, identities: 1 };
      const begin = performance.now();
      const answers = await Promise.all(children.map((child) => child.ask('decide', order)));
      const refilled = strategy === 'token-bucket' ? ((performance.now() - begin) * 20_000) / 3_600_000 : 0;
      const admitted = answers.reduce((sum, answer) => sum + answer.admitted, 0);
      const bound = 20_000 + Math.ceil(refilled) + (strategy === 'token-bucket' ? INSTANCES * 9 : 0);
      printTarget(`admitted over ${INSTANCES} processes, ${strategy}`, admitted, 'at most', bound);
    });
  }
}

async function fallback() {
  printHeading(
    'Fallback',
    `${INSTANCES} processes without their store, evenly loaded: the hits they admit under a limit of 1,000, and under one of 40.`,
  );
  await withChildren(INSTANCES, async (children) => {
    await Promise.all(
      children.map((child) => child.ask('open', 'redis://127.0.0.1:1', { instances: INSTANCES })),
    );
    for (const amount of [1000, 40]) {
      const order = { amount, decisions: amount, inFlight: 20, identities: 1 };
      const answers = await Promise.all(children.map((child) => child.ask('decide', order)));
      const admitted = answers.reduce((sum, answer) => sum + answer.admitted, 0);
      printTarget(`admitted of ${amount}, as a share`, admitted / amount, 'at most', 1.1, '×');
    }
  });
}

async function blackHole(proxy) {
  printHeading(
    'A store that goes silent',
    `200 requests in flight on Redis behind a proxy that drops all traffic for ${DOWN / 1000} s. Added latency is the time of\n` +
      'a whole decision; the growth of the heap is measured after a collection, over the second half of that time.',
  );
  await withChildren(1, async ([child]) => {
    await child.ask('open', `redis://127.0.0.1:${proxy.port}`, { timeout: TIMEOUT });
    const before = await child.ask('flood', 200, 2000);
    const during = child.ask('flood', 200, 1000);
    await sleep(500);
    proxy.blackHole = true;
    const opening = await during;
    const first = await child.ask('flood', 200, DOWN / 2);
    const second = await child.ask('flood', 200, DOWN / 2);
    proxy.blackHole = false;
    const recovery = await child.ask('recovery');
    const after = await child.ask('flood', 200, 1000);
    printTable(
      ['', 'requests', 'failed', 'p99 ms', 'state at the end'],
      Object.entries({
        before,
        'as it goes silent': opening,
        silent: first,
        'silent still': second,
        after,
      }).map(([name, { asked, failures, tail, state }]) => [
        name,
        formatNumber(asked),
        failures,
        formatNumber(tail),
        state,
      ]),
    );
    printTarget('p99 as it goes silent', opening.tail, 'at most', TIMEOUT, ' ms', LATE);
    printTarget('p99 once it is known', second.tail, 'at most', 1, ' ms');
    printTarget('requests that failed', opening.failures + first.failures + second.failures, 'at most', 0);
    printTarget('growth of the heap in half a minute', second.growth / 1e6, 'at most', 1, ' MB');
    printTarget('until it is asked again', recovery, 'at most', 2000, ' ms');
  });
}

async function withChildren(count, use) {
  const children = Array.from({ length: count }, () => startChild('resilience'));
  try {
    await use(children);
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}
