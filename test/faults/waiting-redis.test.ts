import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  StorageError,
  TokenBucketRateLimiter,
  WaitTimeoutError,
} from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { queueOf } from '../../lib/limiter/fair-queue.js';
import { resolveResilience, type ResolvedResilience } from '../../lib/resilience/resilience.options.js';
import { resilient, type DecidingStorage } from '../../lib/resilience/resilient-storage.js';
import { startRedis } from '../support/servers/redis.js';
import { until, type Server } from '../support/servers/server-process.js';

/** Callers that wait for leased permits while a Redis server fails. */

let server: Server;
let storage: DecidingStorage;
let events: string[];
const rejections: unknown[] = [];
const remember = (reason: unknown): void => void rejections.push(reason);

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server.stop());

beforeEach(() => {
  events = [];
  rejections.length = 0;
  process.on('unhandledRejection', remember);
});

afterEach(async () => {
  await storage.close();
  process.off('unhandledRejection', remember);
});

async function open(onError: 'fallback' | 'deny'): Promise<void> {
  const redis = new RedisStorage(server.uri);
  const options = resolveResilience({ onError, timeout: 300, lease: { size: 4, maxError: 1 } });
  storage = resilient(redis, options as ResolvedResilience, {
    degraded: () => void events.push('degraded'),
    recovered: () => void events.push('recovered'),
  });
  await until(() => redis.check(), 'the store to be well');
}

describe.each(['fallback', 'deny'] as const)('Callers that wait, with onError "%s",', (onError) => {
  it.each([
    [
      'is stopped',
      FixedWindowRateLimiter,
      () => void process.kill(server.pid, 'SIGSTOP'),
      () => void process.kill(server.pid, 'SIGCONT'),
    ],
    ['is killed, and comes back empty', TokenBucketRateLimiter, () => server.kill(), () => server.restart()],
  ])(
    'are all answered while a server %s, and by the server once it is back',
    async (_what, LimiterClass, harm, repair) => {
      await open(onError);
      const limiter = new LimiterClass(storage);
      const identity = [randomUUID()];
      const wait = async (): Promise<string> => {
        try {
          const { degraded = 'store' } = await limiter.waitFor('8/second', identity, { maxWait: 2000 });
          return degraded;
        } catch (error) {
          return error instanceof WaitTimeoutError || error instanceof StorageError
            ? 'refused'
            : String(error);
        }
      };
      const callers = Array.from({ length: 40 }, wait);
      await until(() => !queueOf(storage).isEmpty, 'callers to wait');
      await harm();
      await until(() => events.includes('degraded'), 'the circuit to open');
      await repair();
      const answers = await Promise.all(callers);
      const known = onError === 'deny' ? ['refused', 'store'] : ['fallback', 'refused', 'store'];
      expect([...new Set(answers)].sort()).toEqual(known);
      expect(queueOf(storage).isEmpty).toBe(true);
      await until(async () => (await wait()) === 'store', 'the server to decide');
      expect(rejections).toEqual([]);
    },
    60_000,
  );
});
