import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLimit, type BatchResult, type Hit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { setTimeout as sleep } from 'node:timers/promises';
import { DegradingStorage } from '../../lib/resilience/degrading.storage.js';
import { DenialCacheStorage } from '../../lib/resilience/denial-cache.storage.js';
import { GuardedStorage } from '../../lib/resilience/guarded.storage.js';
import { startRedis } from '../support/servers/redis.js';
import type { Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A Redis server that goes away in every way there is, behind the layers that stand before a remote storage. */

const TIMEOUT = 50;
const AMOUNT = 1000;
const limit = createLimit({ id: 'resilience', strategy: 'fixed-window', amount: AMOUNT, period: 3_600_000 });

let server: Server;
let proxy: TcpProxy;
let redis: RedisStorage;
let guarded: GuardedStorage;
let storage: DegradingStorage;
let told: string[];
let bucket: string;
let buckets = 0;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server.stop());

beforeEach(async () => {
  told = [];
  bucket = `somebody ${buckets++}`;
  proxy = await TcpProxy.to(server.port);
  redis = new RedisStorage(`redis://127.0.0.1:${proxy.port}`);
  guarded = new GuardedStorage(
    redis,
    { timeout: TIMEOUT, failures: 5, probeInterval: 500 },
    {
      degraded: () => told.push('degraded'),
      recovered: () => {
        told.push('recovered');
        storage.recover();
      },
    },
  );
  storage = new DegradingStorage(new DenialCacheStorage(guarded), { onError: 'fallback', instances: 1 });
  expect(await storage.check()).toBe(true);
  await storage.consume(hits()); // the server learns the script
});

afterEach(async () => {
  await storage.close();
  proxy.close();
});

function hits(): Hit[] {
  return [{ bucket, limit, cost: 1 }];
}

interface Timed {
  readonly result: BatchResult;
  readonly elapsed: number;
}

async function timed(): Promise<Timed> {
  const begin = performance.now();
  const result = await storage.consume(hits());
  return { result, elapsed: performance.now() - begin };
}

/** Requests as they come while so many are in flight. */
async function flood(concurrency: number, ms: number): Promise<Timed[]> {
  const end = performance.now() + ms;
  const all: Timed[] = [];
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      all.push(await timed());
      await sleep(1);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return all;
}

async function untilRecovered(since: number): Promise<number> {
  while (told.at(-1) !== 'recovered') {
    if (performance.now() - since > 10_000) throw new Error('The storage does not recover.');
    await sleep(5);
  }
  return performance.now() - since;
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((one, other) => one - other)[Math.floor(share * (values.length - 1))] ?? NaN;
}

describe('A server that swallows everything under 200 concurrent requests', () => {
  it('holds up those in flight for the deadline, nobody afterwards, and counts again within two seconds of its return', async () => {
    const inFlight = Array.from({ length: 200 }, async () => {
      await sleep(1);
      return timed();
    });
    proxy.swallows = 'requests';
    const held = await Promise.all(inFlight);
    expect(told).toEqual(['degraded']);
    expect(held.every(({ result }) => result.allowed)).toBe(true);
    // The deadline, and what a busy machine takes to notice.
    expect(
      quantile(
        held.map(({ elapsed }) => elapsed),
        0.99,
      ),
    ).toBeLessThan(3 * TIMEOUT);

    const meanwhile = await flood(200, 1000);
    expect(meanwhile.every(({ result }) => result.degraded === 'fallback')).toBe(true);
    expect(
      quantile(
        meanwhile.map(({ elapsed }) => elapsed),
        0.5,
      ),
    ).toBeLessThan(1);

    const begin = performance.now();
    proxy.swallows = 'nothing';
    expect(await untilRecovered(begin)).toBeLessThan(2000);
    expect((await timed()).result.degraded).toBeUndefined();
  }, 30_000);
});

describe.each<[string, () => void | Promise<void>, () => void | Promise<void>]>([
  ['is killed', () => server.kill(), () => server.restart()],
  ['answers after 200 ms', () => void (proxy.delay = 200), () => void (proxy.delay = 0)],
  ['swallows its answers', () => void (proxy.swallows = 'answers'), () => void (proxy.swallows = 'nothing')],
])('A server that %s', (_what, harm, mend) => {
  it('is counted for here, up to the limit, and counts again by itself', async () => {
    await harm();
    const results = await flood(20, 600);
    const degraded = results.filter(({ result }) => result.degraded === 'fallback');
    expect(degraded.length).toBeGreaterThan(20);
    expect(degraded.filter(({ result }) => result.allowed).length).toBeLessThanOrEqual(AMOUNT);
    expect(results.some(({ result }) => result.degraded === undefined && !result.allowed)).toBe(false);
    await mend();
    await untilRecovered(performance.now());
    expect((await timed()).result).toMatchObject({ allowed: true });
  }, 30_000);
});

describe('An identity that is refused', () => {
  it('costs the server one call in two seconds, however many requests it makes', async () => {
    const none = createLimit({ id: 'none', strategy: 'fixed-window', amount: 1, period: 3_600_000 });
    const batch: Hit[] = [{ bucket, limit: none, cost: 1 }];
    await storage.consume(batch);
    await storage.consume(batch);
    const { requests } = proxy;
    const begin = performance.now();
    let count = 0;
    for (; performance.now() - begin < 1000; count++)
      expect((await storage.consume(batch)).allowed).toBe(false);
    expect(count).toBeGreaterThan(1000);
    expect(proxy.requests).toBe(requests);
  });
});
