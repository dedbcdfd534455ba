import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, loadTemporal, type CalendarOptions, type Limit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { startRedis } from '../support/servers/redis.js';
import type { Server } from '../support/servers/server-process.js';

/** Calendar windows by the clock of the server, which may differ from the clock of this process. */

const DAY = 86_400_000;

let server: Server;
let client: Redis;
let storage: RedisStorage;

beforeAll(async () => {
  await loadTemporal();
  server = await startRedis();
  client = new Redis(server.uri);
});
beforeEach(async () => {
  await client.flushall();
  storage = new RedisStorage(server.uri);
  await storage.consume([{ identity: 'earlier', limit: limitOf('year'), cost: 1 }]); // the server caches the script
  await client.config('RESETSTAT');
});
afterEach(async () => {
  jest.restoreAllMocks();
  await storage.close();
});
afterAll(async () => {
  client.disconnect();
  await server.stop();
});

function limitOf(unit: CalendarOptions['unit'], amount = 2): Limit {
  return createLimit({
    id: `per ${unit}`,
    strategy: 'calendar-window',
    amount,
    period: DAY,
    calendar: { unit },
  });
}

/** Sets the clock of this process off, by a number of ms. */
function shiftClock(by: number): void {
  const now = Date.now.bind(Date);
  jest.spyOn(Date, 'now').mockImplementation(() => now() + by);
}

async function calls(): Promise<number> {
  const info = await client.info('commandstats');
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0);
}

async function serverDay(): Promise<number> {
  const [seconds = 0] = await client.time();
  return Math.floor((seconds * 1000) / DAY);
}

describe('A calendar window on Redis', () => {
  it.each([0, 20 * 3_600_000, -20 * 3_600_000])(
    'is that of the clock of the server, in one call, if ours is %i ms ahead',
    async (ahead) => {
      shiftClock(ahead);
      const result = await storage.consume([{ identity: 'a', limit: limitOf('day'), cost: 1 }]);
      expect(result.outcomes[0]?.resetTime).toBe(((await serverDay()) + 1) * DAY);
      expect(await calls()).toBe(1);
    },
  );

  it.each([10 * DAY, -10 * DAY])(
    'is asked for once more if our clock is %i ms ahead, and only once in a while',
    async (ahead) => {
      shiftClock(ahead);
      const hit = async () => {
        const { allowed, outcomes } = await storage.consume([
          { identity: 'a', limit: limitOf('day'), cost: 1 },
        ]);
        return [allowed, outcomes[0]?.remaining, outcomes[0]?.resetTime];
      };
      const end = ((await serverDay()) + 1) * DAY;
      expect(await hit()).toEqual([true, 1, end]);
      expect(await calls()).toBe(2);
      expect(await hit()).toEqual([true, 0, end]);
      expect(await hit()).toEqual([false, 0, end]);
      expect(await calls()).toBe(4);
    },
  );

  it('counts nothing of a batch whose calendar is unknown, of any limit, before it is asked once more', async () => {
    shiftClock(10 * DAY);
    const fixed = createLimit({ id: 'fixed', strategy: 'fixed-window', amount: 5, period: DAY });
    const batch = [fixed, limitOf('day'), limitOf('year')].map((limit) => ({
      identity: 'a',
      limit,
      cost: 1,
    }));
    const result = await storage.consume(batch);
    expect(result.outcomes.map(({ remaining }) => remaining)).toEqual([4, 1, 1]);
    const settled = await storage.settle(
      result.outcomes.map(({ identity, limit, cost, window }) => ({
        identity,
        limit,
        cost,
        window,
        at: result.now,
        actual: 0,
      })),
    );
    expect(settled.outcomes.map(({ remaining }) => remaining)).toEqual([5, 2, 2]);
  });

  it('decides batches that share a call in one repetition', async () => {
    shiftClock(10 * DAY);
    const hits = ['a', 'b', 'a', 'a'].map((identity) =>
      storage.consume([{ identity, limit: limitOf('day'), cost: 1 }]),
    );
    expect((await Promise.all(hits)).filter(({ allowed }) => allowed)).toHaveLength(3);
  });
});
