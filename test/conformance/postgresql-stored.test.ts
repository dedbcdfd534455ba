import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Client } from 'pg';
import { ManualClock } from 'nestjs-limits/testing';
import type { PostgreSQLStorage, PostgreSQLStorageOptions } from 'nestjs-limits/postgresql';
import { strategyNames } from '../../lib/strategies/strategies.js';
import { receiptsOf } from '../../lib/core/contract.js';
import { hitsOn, HOUR, limitOf, OpenedStorages, SECOND } from '../support/postgresql.js';
import { describeOn } from '../support/servers.js';
import { until } from '../support/servers/server-process.js';

const KEY = 'nestjs-limits:{user/42}';

describeOn('POSTGRESQL', 'what is stored', (uri) => {
  const storages = new OpenedStorages();
  let client: Client;

  beforeAll(async () => {
    client = new Client(uri);
    await client.connect();
  });
  afterEach(async () => {
    await open().reset();
    await storages.close();
  });
  afterAll(async () => {
    await client.query('DROP SCHEMA stored CASCADE');
    await client.end();
  });

  function open(options: PostgreSQLStorageOptions = {}): PostgreSQLStorage {
    return storages.open(uri, { schema: 'stored', ...options });
  }

  async function rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  }

  async function storedCells(): Promise<unknown> {
    const [row] = await rows('SELECT cells FROM stored.rate_limits WHERE key = $1', KEY);
    return row?.['cells'];
  }

  it('is one row per identity, in which a person can read the counts of all limits', async () => {
    const clock = new ManualClock();
    const now = clock.now();
    const [fixed, bucket] = [limitOf('fixed-window'), limitOf('token-bucket', { block: [SECOND] })];
    const storage = open({ clock });
    await storage.consume(hitsOn([fixed, bucket], 2));
    await storage.block([{ identity: 'user/42', limit: bucket, duration: SECOND }]);
    expect(await storedCells()).toEqual({
      [fixed.digest]: [now + HOUR, 2, now + HOUR],
      [bucket.digest]: [now + HOUR / 5, 2 * HOUR, now, 10],
      [`${bucket.digest}!`]: [now + 2 * SECOND, now + SECOND, 0],
    });
  });

  it('has the amount that set a block; a block without an amount applies to every amount', async () => {
    const clock = new ManualClock();
    const now = clock.now();
    const storage = open({ clock });
    const at = (amount: number): ReturnType<typeof limitOf> =>
      limitOf('fixed-window', { id: 'plan', amount, block: [SECOND], refundable: true });
    const [low, high] = [at(1), at(3)];
    const digest = `${low.digest}!`;
    const receipts = receiptsOf(await storage.consume(hitsOn([low])));
    await storage.settle(receipts.map((receipt) => ({ ...receipt, actual: 1 })));
    await storage.consume(hitsOn([low]));
    expect(await storedCells()).toMatchObject({ [digest]: [now + 2 * SECOND, now + SECOND, 0, 1] });
    expect((await storage.consume(hitsOn([high]))).allowed).toBe(true);
    const reserved = [now + 2 * HOUR, now + SECOND, 0, now, 1, 0];
    expect(await storedCells()).toMatchObject({ [digest]: [...reserved, 1] });
    expect((await storage.consume(hitsOn([high]))).allowed).toBe(true);
    expect((await storage.consume(hitsOn([low]))).allowed).toBe(false);
    const withoutAmount = 'UPDATE stored.rate_limits SET cells = cells || $1::jsonb';
    await rows(withoutAmount, JSON.stringify({ [digest]: reserved }));
    expect((await storage.consume(hitsOn([at(9)]))).allowed).toBe(false);
    await rows(withoutAmount, JSON.stringify({ [digest]: [now + 2 * SECOND, now + SECOND, 0] }));
    expect((await storage.consume(hitsOn([at(9)]))).allowed).toBe(false);
  });

  it('has the hits of a moving window in a table of their own', async () => {
    const clock = new ManualClock();
    const start = clock.now();
    const storage = open({ clock });
    const limit = limitOf('moving-window', { amount: 4, period: SECOND });
    await storage.consume(hitsOn([limit]));
    clock.advance(100);
    await storage.consume(hitsOn([limit], 2));
    const log = 'SELECT key, id, at::float8, total::float8 FROM stored.rate_limit_log ORDER BY at';
    expect(await rows(log)).toEqual([
      { key: KEY, id: limit.digest, at: start, total: 1 },
      { key: KEY, id: limit.digest, at: start + 100, total: 3 },
    ]);
    expect(await storedCells()).toEqual({ [limit.digest]: [start + 100 + SECOND, 0] });
    await storage.remove(hitsOn([limit]));
    expect(await rows(log)).toEqual([]);
  });

  it('keeps few more hits of a moving window than those in the window', async () => {
    const clock = new ManualClock();
    const storage = open({ clock });
    const limit = limitOf('moving-window', { amount: 20, period: SECOND });
    for (let hit = 0; hit < 200; hit++) {
      await storage.consume(hitsOn([limit]));
      clock.advance(50);
    }
    const [row] = await rows('SELECT count(*)::int AS count FROM stored.rate_limit_log');
    expect(row?.['count']).toBeLessThanOrEqual(20 + 8);
  });

  it('drops expired cells, with their hits, when its expiry is extended', async () => {
    const clock = new ManualClock();
    const [short, long] = [limitOf('moving-window', { period: SECOND }), limitOf('fixed-window')];
    const storage = open({ clock });
    await storage.consume(hitsOn([short]));
    clock.advance(SECOND);
    await storage.consume(hitsOn([long]));
    expect(Object.keys((await storedCells()) as object)).toEqual([long.digest]);
    expect(await rows('SELECT * FROM stored.rate_limit_log')).toEqual([]);
  });

  it('is nothing if nothing is consumed: neither after a refusal nor after a refund', async () => {
    const storage = open();
    const [none, one] = [limitOf('fixed-window', { amount: 0 }), limitOf('moving-window')];
    expect((await storage.consume(hitsOn([none]))).allowed).toBe(false);
    const receipts = receiptsOf(await storage.consume(hitsOn([one])));
    await storage.settle(receipts.map((receipt) => ({ ...receipt, actual: 0 })));
    expect(await rows('SELECT * FROM stored.rate_limits')).toEqual([]);
    expect(await rows('SELECT * FROM stored.rate_limit_log')).toEqual([]);
  });

  it('is not written by a hit that is refused and changes nothing', async () => {
    const storage = open();
    const limit = limitOf('fixed-window', { amount: 1 });
    await storage.consume(hitsOn([limit]));
    const version = 'SELECT xmin::text, ctid::text FROM stored.rate_limits';
    await storage.consume(hitsOn([limit]));
    const before = await rows(version);
    await storage.consume(hitsOn([limit]));
    expect((await rows(version))[0]?.['ctid']).toBe(before[0]?.['ctid']);
  });

  it('expires in real time, whatever the clock of the storage, and late enough that hits seldom touch an index', async () => {
    const clock = new ManualClock(0);
    const storage = open({ clock });
    const limit = limitOf('fixed-window-elastic-expiry', { amount: 1000 });
    await storage.consume(hitsOn([limit]));
    const expiry =
      'SELECT expires_at, expires_at - clock_timestamp() > $1::interval AS later FROM stored.rate_limits';
    const [first] = await rows(expiry, '75 minutes');
    expect(first?.['later']).toBe(true);
    await rows('SELECT pg_stat_reset()');
    for (let hit = 0; hit < 200; hit++) {
      clock.advance(SECOND);
      await storage.consume(hitsOn([limit]));
    }
    expect((await rows(expiry, '75 minutes'))[0]?.['expires_at']).toEqual(first?.['expires_at']);
    const updates =
      "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'rate_limits' AND schemaname = 'stored'";
    await storages.close(); // a connection reports its statistics when it ends
    await until(async () => Number((await rows(updates))[0]?.['all']) >= 200, 'the statistics');
    expect((await rows(updates))[0]?.['hot']).toBeGreaterThan(180);
  });

  it('is swept by the calls: expired rows are deleted with their hits, but not locked ones', async () => {
    const storage = open();
    const limit = limitOf('moving-window');
    for (const identity of ['gone', 'locked', 'kept']) await storage.consume(hitsOn([limit], 1, identity));
    await rows(
      "UPDATE stored.rate_limits SET expires_at = now() - interval '1 s' WHERE key LIKE '%{gone}' OR key LIKE '%{locked}'",
    );
    await rows('BEGIN');
    await rows("SELECT FROM stored.rate_limits WHERE key LIKE '%{locked}' FOR UPDATE");
    const other = limitOf('fixed-window', { amount: 5000 });
    await Promise.all(Array.from({ length: 1000 }, () => storage.consume(hitsOn([other]))));
    const keys = 'SELECT key FROM stored.rate_limits WHERE key NOT LIKE $1 ORDER BY 1';
    try {
      await until(async () => (await rows(keys, '%42}')).length === 2, 'the sweep');
    } finally {
      await rows('COMMIT');
    }
    const left = [{ key: 'nestjs-limits:{kept}' }, { key: 'nestjs-limits:{locked}' }];
    expect(await rows(keys, '%42}')).toEqual(left);
    expect(await rows('SELECT key FROM stored.rate_limit_log ORDER BY 1')).toEqual(left);
  });

  it('expires no later than a timestamp can hold', async () => {
    const storage = open();
    const limit = limitOf('fixed-window', { period: 2 ** 52 });
    expect((await storage.consume(hitsOn([limit]))).allowed).toBe(true);
    expect((await storage.consume(hitsOn([limit], 10))).allowed).toBe(false);
  });

  it('does not grow by a cost that is too large, and does not overflow', async () => {
    const storage = open();
    for (const strategy of strategyNames) {
      const limit = limitOf(strategy, { period: 2 ** 40 });
      const { outcomes } = await storage.consume(hitsOn([limit], Number.MAX_SAFE_INTEGER));
      expect(outcomes).toMatchObject([{ allowed: false, remaining: 10, retryAfter: Infinity }]);
      const receipts = receiptsOf(await storage.consume(hitsOn([limit])));
      const debt = { ...receipts[0], ...hitsOn([limit])[0], actual: Number.MAX_SAFE_INTEGER };
      const settled = await storage.settle([debt as never]);
      expect(settled.outcomes).toMatchObject([{ remaining: 0, cost: Number.MAX_SAFE_INTEGER }]);
      expect((await storage.consume(hitsOn([limit]))).allowed).toBe(false);
    }
  });

  it('holds the largest moving window', async () => {
    const storage = open();
    const limit = limitOf('moving-window', { amount: 100_000 });
    const { now } = await storage.consume(hitsOn([limit], 99_999));
    expect(await storage.consume(hitsOn([limit]))).toMatchObject({
      outcomes: [{ allowed: true, remaining: 0, resetTime: now + HOUR }],
    });
    expect(await storage.consume(hitsOn([limit], 100_000))).toMatchObject({ outcomes: [{ allowed: false }] });
  });

  it('is counted by the clock of the server, whatever the clocks of the processes are', async () => {
    const limit = limitOf('fixed-window', { amount: 2, period: 60 * SECOND });
    const storage = open();
    const ends: unknown[] = [];
    for (const skew of [0, 120 * SECOND, -120 * SECOND]) {
      const now = Date.now.bind(Date);
      jest.spyOn(Date, 'now').mockImplementation(() => now() + skew);
      const { allowed, outcomes } = await storage.consume(hitsOn([limit]));
      ends.push([allowed, outcomes[0]?.resetTime]);
      jest.restoreAllMocks();
    }
    const [, end] = ends[0] as [boolean, number];
    expect(ends).toEqual([
      [true, end],
      [true, end],
      [false, end],
    ]);
  });

  it('belongs to one key prefix only, even if another one starts with it', async () => {
    const limit = limitOf('fixed-window');
    const [short, long] = [open({ keyPrefix: 'app' }), open({ keyPrefix: 'app:api' })];
    await short.consume(hitsOn([limit], 1, 'api:user/42'));
    expect(await long.consume(hitsOn([limit]))).toMatchObject({ outcomes: [{ remaining: 9 }] });
    expect(await short.reset()).toBe(1);
    expect(await long.reset()).toBe(1);
  });
});

describe('identities that no key can hold', () => {
  describeOn('POSTGRESQL', 'on a server', (uri) => {
    const storages = new OpenedStorages();
    afterEach(() => storages.close());

    it('are counted separately, and removed by reset', async () => {
      const storage = storages.open(uri, { keyPrefix: 'strange' });
      const limit = limitOf('fixed-window', { amount: 1 });
      const strange = ['a\0', 'a\0\0', '\ud800', '\ud801', 'x'.repeat(5000), `${'x'.repeat(5000)}y`];
      const hit = async (): Promise<boolean[]> => {
        const results = await Promise.all(
          strange.map((identity) => storage.consume(hitsOn([limit], 1, identity))),
        );
        return results.map(({ allowed }) => allowed);
      };
      expect(await hit()).toEqual(strange.map(() => true));
      expect(await hit()).toEqual(strange.map(() => false));
      expect(await storage.reset()).toBe(strange.length);
    });
  });
});
