import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { protocols, type Client, type Exchange } from '../support/http-exchange.js';
import { describeOn, serverUri } from '../support/servers.js';
import { until } from '../support/servers/server-process.js';
import { StreamLedger } from './stream-ledger.js';
import type { StreamServerOptions } from './stream-server.js';

/** Four processes with 50 streams each: the handlers that run at once never exceed the limit, by a ledger outside of the limiter. */

const PROCESSES = 4;
const STREAMS = 50;
const LIMIT = 20;
/** Longer than a process on a busy machine stands still between two renewals. */
const HOLD = '10 seconds';
const TIMEOUT_MS = 20_000;
const TEST_TIMEOUT_MS = 180_000;

/** An instance of the application, and a client of it. */
interface Instance {
  readonly process: ChildProcess;
  readonly port: number;
  readonly client: Client;
}

interface Stream {
  readonly instance: Instance;
  readonly exchange: Exchange;
}

describe.each(['REDIS', 'MONGODB'] as const)('Streams of four processes, on %s', (backend) => {
  describeOn(backend, 'under one limit of concurrent requests', (uri) => {
    const options: StreamServerOptions = {
      uri,
      storage: {
        keyPrefix: `streams-${randomBytes(6).toString('hex')}`,
        ...(backend === 'REDIS' ? { commandTimeout: TIMEOUT_MS } : { timeout: TIMEOUT_MS }),
      },
      ledger: `${serverUri('REDIS')}/8`,
      limit: `${LIMIT} concurrent`,
      hold: HOLD,
    };
    const ledger = new StreamLedger(options.ledger);
    let instances: Instance[] = [];

    beforeAll(async () => {
      await ledger.clear();
      instances = await Promise.all(Array.from({ length: PROCESSES }, () => startInstance(options)));
    }, TEST_TIMEOUT_MS);

    afterAll(() => {
      for (const { process, client } of instances) {
        client.close();
        process.kill('SIGKILL');
      }
      ledger.close();
    });

    /** Begins 50 streams of each process. */
    function beginAll(lines: number): Stream[] {
      return instances.flatMap((instance) =>
        Array.from({ length: STREAMS }, () => ({ instance, exchange: begin(instance, lines) })),
      );
    }

    it(
      'run no more than the limit at once, while each of 200 clients tries until it is served',
      async () => {
        await Promise.all(
          instances.flatMap((instance) => Array.from({ length: STREAMS }, () => streamUntilServed(instance))),
        );
        const { most, running } = await ledger.read();
        expect(most).toBeLessThanOrEqual(LIMIT);
        expect(running).toBe(0);
        await until(async () => (await freeSlots(instances[0])) === LIMIT, 'all slots to be free');
      },
      TEST_TIMEOUT_MS,
    );

    it(
      'hold no slot after their hold, once every client and one of the processes have been killed',
      async () => {
        const streams = beginAll(Infinity);
        const statuses = await Promise.all(streams.map(({ exchange }) => exchange.status));
        const served = streams.filter((_stream, index) => statuses[index] === 200);
        expect([served.length, new Set(statuses)]).toEqual([LIMIT, new Set([200, 429])]);
        await Promise.all(served.map(({ exchange }) => exchange.firstData));
        expect(await ledger.read()).toEqual({ most: LIMIT, running: LIMIT });
        expect(await freeSlots(instances[0])).toBe(0);

        const victim = served[0]?.instance;
        const exit = victim && once(victim.process, 'exit');
        victim?.process.kill('SIGKILL');
        for (const { exchange } of served) exchange.reset();
        await exit;
        const survivors = instances.filter((instance) => instance !== victim);
        await until(async () => (await freeSlots(survivors[0])) === LIMIT, 'the hold to be over');

        const left = served.filter(({ instance }) => instance === victim).length;
        await until(async () => (await ledger.read()).running === left, 'the other handlers to have ended');
        await ledger.clear();
        const next = survivors.flatMap((instance) =>
          Array.from({ length: STREAMS }, () => begin(instance, Infinity)),
        );
        const again = await Promise.all(next.map(({ status }) => status));
        expect(again.filter((status) => status === 200)).toHaveLength(LIMIT);
        await until(async () => (await ledger.read()).running === LIMIT, 'the streams to run');
        for (const exchange of next) exchange.reset();
        await until(async () => (await freeSlots(survivors[0])) === LIMIT, 'their slots to be free');
        expect(await ledger.read()).toEqual({ most: LIMIT, running: 0 });
      },
      TEST_TIMEOUT_MS,
    );
  });
});

async function startInstance(options: StreamServerOptions): Promise<Instance> {
  const loader = new URL('../support/typescript.mjs', import.meta.url).href;
  const script = fileURLToPath(new URL('./stream-server.ts', import.meta.url));
  const child = fork(script, [JSON.stringify(options)], { execArgv: ['--import', loader] });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The process has ended (${code}).`);
  });
  const [port] = (await Promise.race([once(child, 'message'), ended])) as [number];
  ended.catch(() => undefined); // it may end now
  return { process: child, port, client: (protocols[0] as (typeof protocols)[number]).connect(port) };
}

function begin({ client }: Instance, lines: number): Exchange {
  return client.send(`/stream/${lines}`);
}

/** Begins a stream again and again until it is served, and reads all of it. */
async function streamUntilServed(instance: Instance): Promise<void> {
  for (;;) {
    const status = await begin(instance, 5).end;
    if (status === 200) return;
    expect(status).toBe(429);
    await sleep(10 + 40 * Math.random());
  }
}

async function freeSlots(instance: Instance | undefined): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${instance?.port}/free`);
  return Number(await response.text());
}
