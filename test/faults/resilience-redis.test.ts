import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLimit, type Hit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { startRedis } from '../support/servers/redis.js';
import { ask, until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LATE, LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** Outages of a Redis server, behind the circuit breaker, the denial cache and the fallback. */

let server: Server;
let proxy: TcpProxy;
let redis: RedisStorage;
let layered: LayeredStore;

beforeAll(async () => {
  server = await startRedis({ args: ['--enable-debug-command', 'yes'] });
});

afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await TcpProxy.to(server.port);
  redis = new RedisStorage(`redis://127.0.0.1:${proxy.port}`);
  layered = new LayeredStore(redis);
});

afterEach(async () => {
  await layered.storage.close();
  proxy.close();
});

async function execute(command: string): Promise<void> {
  expect(await ask(server.port, `${command}\r\n`)).toBe('+OK\r\n');
}

async function isLoading(): Promise<boolean> {
  return (await ask(server.port, 'INFO persistence\r\n')).includes('\r\nloading:1');
}

/** Long enough for two probes, both of which must report that the server cannot count. */
const refusing = { probes: 3 };

describe('A Redis server that', () => {
  it.each<[string, Fault, OutageOptions]>([
    ['is killed', { harm: () => server.kill(), repair: () => server.restart() }, { keepsCounts: false }],
    [
      'is stopped',
      {
        harm: () => void process.kill(server.pid, 'SIGSTOP'),
        repair: () => void process.kill(server.pid, 'SIGCONT'),
      },
      {},
    ],
    [
      'receives none of 200 requests in flight',
      { harm: () => void (proxy.swallows = 'requests'), repair: () => void (proxy.swallows = 'nothing') },
      { clients: 200 },
    ],
    [
      'sends no answer',
      { harm: () => void (proxy.swallows = 'answers'), repair: () => void (proxy.swallows = 'nothing') },
      {},
    ],
    [
      'disappears with all its connections',
      { harm: () => void (proxy.blackHole = true), repair: () => void (proxy.blackHole = false) },
      {},
    ],
    [
      'answers later than the deadline',
      { harm: () => void (proxy.delay = LATE), repair: () => void (proxy.delay = 0) },
      {},
    ],
    [
      'has no memory left',
      { harm: () => execute('CONFIG SET maxmemory 1'), repair: () => execute('CONFIG SET maxmemory 0') },
      refusing,
    ],
    [
      'becomes a replica of one that is not there',
      { harm: () => execute('REPLICAOF 127.0.0.1 1'), repair: () => execute('REPLICAOF NO ONE') },
      refusing,
    ],
    [
      'loads its data',
      {
        async harm() {
          for (const option of ['key-load-delay 2000', 'loading-process-events-interval-bytes 1024'])
            await execute(`CONFIG SET ${option}`);
          await execute('DEBUG POPULATE 5000');
          void ask(server.port, 'DEBUG RELOAD\r\n', 20_000);
          await until(isLoading, 'the server to load');
        },
        async repair() {
          await execute('CONFIG SET key-load-delay 0');
          await until(async () => !(await isLoading()), 'the server to have loaded');
        },
      },
      refusing,
    ],
  ])(
    '%s is replaced by the fallback, and counts again once it is back',
    async (_what, fault, options) => {
      await layered.expectToSurvive(fault, options);
    },
    60_000,
  );
});

describe('A Redis server that responds to PING but cannot count', () => {
  it.each([
    ['for want of memory', 'CONFIG SET maxmemory 1', 'CONFIG SET maxmemory 0'],
    ['as a replica', 'REPLICAOF 127.0.0.1 1', 'REPLICAOF NO ONE'],
    ['for want of replicas', 'CONFIG SET min-replicas-to-write 1', 'CONFIG SET min-replicas-to-write 0'],
  ])('%s fails the check', async (_why, harm, repair) => {
    await until(() => redis.check(), 'the storage to connect');
    await execute(harm);
    expect(await ask(server.port, 'PING\r\n')).toBe('+PONG\r\n');
    try {
      expect(await redis.check()).toBe(false);
    } finally {
      await execute(repair);
    }
    await until(() => redis.check(), 'the storage to be well');
  });

  it('is checked without leaving a key', async () => {
    await until(() => redis.check(), 'the storage to connect');
    await execute('FLUSHALL');
    expect(await redis.check()).toBe(true);
    expect(await ask(server.port, 'DBSIZE\r\n')).toBe(':0\r\n');
  });
});

describe('An identity that is refused', () => {
  it('is refused again without a call of the server', async () => {
    await layered.warmUp();
    const once = createLimit({ id: 'once', strategy: 'fixed-window', amount: 1, period: 3_600_000 });
    const batch: Hit[] = [{ identity: layered.identity, limit: once, cost: 1 }];
    const refused = async (): Promise<boolean> => !(await layered.storage.consume(batch)).allowed;
    await until(refused, 'the limit to be used up');
    const { requests } = proxy;
    for (let times = 0; times < 100; times++) expect(await refused()).toBe(true);
    expect(proxy.requests).toBe(requests);
  });
});
