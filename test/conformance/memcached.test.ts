import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLimit, type Hit, type Limit, type StrategyName } from 'nestjs-limits';
import { GAEMemcachedStorage, MemcachedStorage } from 'nestjs-limits/memcached';
import { describeStorage } from 'nestjs-limits/testing';
import { startMemcached } from '../support/servers/memcached.js';
import { ask, type Server } from '../support/servers/server-process.js';
import { serverUri } from '../support/servers.js';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** Long: some cases make 1,500 calls concurrently, and the machine may be busy. */
const TIMEOUT = 10 * SECOND;

const uri = serverUri('MEMCACHED') ?? '';
const socketUri = serverUri('MEMCACHED_UNIX') ?? '';

const reason = 'Memcached does not list keys, and reset says so';
const skip = {
  'reset removes everything and returns the number of identities': reason,
  'reset counts an identity once, however many limits it has': reason,
  'reset removes more records than one reply of a server lists': reason,
  'reset lifts blocks': reason,
  'reset keeps the records of other key prefixes, even similar ones': reason,
  'reset takes its key prefix literally, not as a pattern': reason,
};

describeStorage('MemcachedStorage over two servers', {
  open: (options) => new MemcachedStorage(uri, { ...options, timeout: TIMEOUT }),
  skip,
});

describeStorage('GAEMemcachedStorage over a socket file', {
  open: (options) => new GAEMemcachedStorage(`gae${socketUri}`, { ...options, timeout: TIMEOUT }),
  skip,
});

describe('two storages on one server', () => {
  it.each<StrategyName>([
    'fixed-window',
    'fixed-window-elastic-expiry',
    'moving-window',
    'sliding-window-counter',
    'token-bucket',
  ])('that hit one identity concurrently admit exactly the limit of a %s', async (strategy) => {
    const [storage, other] = [new MemcachedStorage(uri), new MemcachedStorage(uri)];
    const batch = [hit(limitOf(strategy, HOUR, 40), `two/${strategy}`)];
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, index) => (index % 2 ? storage : other).consume(batch)),
    );
    expect(results.filter((result) => result.allowed)).toHaveLength(40);
    await Promise.all([storage.close(), other.close()]);
  });
});

describe('an item', () => {
  let server: Server;
  let storage: MemcachedStorage;
  beforeAll(async () => {
    server = await startMemcached();
    storage = new MemcachedStorage(server.uri, { keyPrefix: 'limits' });
  });
  afterAll(async () => {
    await storage.close();
    await server.stop();
  });

  it('has the prefix and the identity as its key, and JSON as its value', async () => {
    const limit = limitOf('fixed-window', HOUR);
    const { now } = await storage.consume([hit(limit, 'user/42')]);
    const text = JSON.stringify({ [limit.digest]: [now + HOUR, 1, now + HOUR] });
    expect(await ask(server.port, 'mg limits:{user/42} v\r\n')).toBe(`VA ${text.length}\r\n${text}\r\n`);
  });

  it('of one key prefix is not shared with a similar prefix', async () => {
    const other = new MemcachedStorage(server.uri, { keyPrefix: 'limits:api' });
    const limit = limitOf('fixed-window', HOUR);
    await storage.consume([hit(limit, 'api:somebody')]);
    expect((await other.consume([hit(limit, 'somebody')])).outcomes[0]?.remaining).toBe(999);
    await other.close();
  });

  it.each([1, SECOND, 90 * SECOND, HOUR, 30 * DAY - 2 * SECOND, 30 * DAY, 360 * DAY])(
    'of a window of %d ms is kept for that time, and a few seconds more',
    async (period) => {
      await storage.consume([hit(limitOf('fixed-window', period), `window/${period}`)]);
      const seconds = await timeToLive(`limits:{window/${period}}`);
      expect(seconds).toBeGreaterThan(period / SECOND);
      expect(seconds).toBeLessThanOrEqual(period / SECOND + 4);
    },
  );

  it('expires within seconds when all its units are refunded', async () => {
    const batch = [hit(limitOf('fixed-window', HOUR), 'returned')];
    await storage.consume(batch);
    await storage.settle(batch.map((each) => ({ ...each, window: 'current', actual: 0 })));
    expect(await timeToLive('limits:{returned}')).toBeLessThanOrEqual(2);
  });

  it.each([
    [1, 133],
    [4, 262],
  ])('of %d fixed windows under a key of 30 bytes takes %d bytes', async (limits, bytes) => {
    const identity = `user/1234567890abcde${limits}`;
    await storage.consume(
      Array.from({ length: limits }, (_, index) => hit(limitOf('fixed-window', HOUR, 1000, index), identity)),
    );
    expect(await ask(server.port, `me limits:{${identity}}\r\n`)).toMatch(new RegExp(`size=${bytes}\r\n$`));
  });

  async function timeToLive(key: string): Promise<number> {
    const [, seconds] = /^HD t(\d+)/.exec(await ask(server.port, `mg ${key} t\r\n`)) ?? [];
    return Number(seconds);
  }
});

function limitOf(strategy: StrategyName, period: number, amount = 1000, index = 0): Limit {
  return createLimit({ id: `${strategy} ${index}`, strategy, amount, period });
}

function hit(limit: Limit, identity: string): Hit {
  return { identity, limit, cost: 1 };
}
