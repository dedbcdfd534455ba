import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import {
  createLimit,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type StorageOptions,
  type StrategyName,
} from 'nestjs-limits';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { describeStorage } from 'nestjs-limits/testing';
import { base64, EtcdGateway } from '../support/etcd-gateway.js';
import { serverUri } from '../support/servers.js';
import { startEtcd } from '../support/servers/etcd.js';
import type { Server } from '../support/servers/server-process.js';

const HOUR = 3_600_000;
/** Long timeout, since the machine may be busy. */
const timeout = 20_000;
const uri = serverUri('ETCD') ?? '';

describeStorage('EtcdStorage', { open: (options) => new EtcdStorage(uri, { ...options, timeout }) });

describe('on a separate server', () => {
  let server: Server;
  let gateway: EtcdGateway;
  beforeAll(async () => {
    server = await startEtcd();
    gateway = new EtcdGateway(server);
  });
  afterAll(() => server.stop());

  const opened: EtcdStorage[] = [];
  let storage: EtcdStorage;
  beforeEach(() => {
    storage = open();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await gateway.clear();
  });

  function open(options: StorageOptions = {}): EtcdStorage {
    const storage = new EtcdStorage(server.uri, { timeout, ...options });
    opened.push(storage);
    return storage;
  }

  /** Returns the units that a limit has counted, as a new process reads them. */
  async function used(limit: Limit, identity = 'somebody'): Promise<number> {
    const { outcomes } = await open().peek(hits(limit, identity));
    return limit.amount - (outcomes[0]?.remaining ?? 0);
  }

  describe('the calls of', () => {
    const batches: Record<string, [spent: Record<string, number>, use: () => Promise<unknown>]> = {
      'a hit of an identity that is known': [{ Txn: 1 }, () => storage.consume(hits(hourly()))],
      'a hit of an identity without a record': [{ Txn: 1 }, () => storage.consume(hits(hourly(), 'new'))],
      'a hit after one of another process': [{ Txn: 2 }, () => storage.consume(hits(hourly(), 'shared'))],
      'a hit on five limits': [
        { Txn: 1 },
        () => storage.consume([1, 2, 3, 4, 5].flatMap((id) => hits(hourly({ id: `${id}` })))),
      ],
      'a batch over 64 identities': [
        { Txn: 1 },
        () => storage.consume(numbered(64).flatMap((identity) => hits(hourly(), identity))),
      ],
      'a refused hit': [{ Txn: 1 }, () => storage.consume(hits(hourly({ amount: 1 })))],
      'a look': [{ Txn: 1 }, () => storage.peek(hits(hourly()))],
      'a look after a hit of another process': [{ Txn: 1 }, () => storage.peek(hits(hourly(), 'shared'))],
      '50 concurrent hits': [
        { Txn: 2 },
        () => Promise.all(numbered(50).map(() => storage.consume(hits(hourly())))),
      ],
      '50 concurrent hits, each on a separate identity and a common one': [
        { Txn: 2 },
        () =>
          Promise.all(
            numbered(50).map((own) =>
              storage.consume([...hits(hourly(), own), ...hits(hourly({ amount: 99 }), 'common')]),
            ),
          ),
      ],
      'a reset of 1500 records': [{ Range: 3, DeleteRange: 2 }, () => storage.reset()],
    };

    beforeEach(async () => {
      await storage.consume(hits(hourly()));
      await storage.consume(hits(hourly(), 'shared'));
      await open().consume(hits(hourly(), 'shared'));
    });

    it.each(Object.entries(batches))('%s', async (_name, [spent, use]) => {
      if ('DeleteRange' in spent)
        await storage.consume(numbered(1498).flatMap((identity) => hits(hourly(), identity)));
      const before = await gateway.calls();
      await use();
      const after = await gateway.calls();
      const difference = Object.entries(after).map(
        ([method, count]) => [method, count - (before[method] ?? 0)] as const,
      );
      expect(Object.fromEntries(difference.filter(([, count]) => count > 0))).toEqual(spent);
    });
  });

  describe('leases', () => {
    const lasting = (period: number): Limit => hourly({ id: `${period}`, period });
    const granted = async (): Promise<unknown[]> =>
      (await gateway.leases())
        .map(({ grantedTTL, keys }) => ({ seconds: Number(grantedTTL), keys: keys.length }))
        .sort((one, other) => one.seconds - other.seconds);

    it('are one per power of two in seconds, and last twice as long', async () => {
      await Promise.all(numbered(50).map((identity) => storage.consume(hits(lasting(60_000), identity))));
      for (const identity of numbered(50)) await storage.consume(hits(lasting(40_000), identity));
      await storage.consume(
        [1000, 60_000, HOUR].flatMap((period) => hits(lasting(period), `identity ${period}`)),
      );
      expect(await granted()).toEqual([
        { seconds: 4, keys: 1 },
        { seconds: 128, keys: 51 },
        { seconds: 8192, keys: 1 },
      ]);
    });

    it('are replaced before their remaining time is too short', async () => {
      await storage.consume(hits(lasting(1000), 'a'));
      await storage.consume(hits(lasting(1000), 'b'));
      expect(await granted()).toEqual([{ seconds: 4, keys: 2 }]);
      await sleep(2100);
      await storage.consume(hits(lasting(1000), 'a'));
      expect((await gateway.leases()).map(({ keys }) => keys).sort()).toEqual([
        ['nestjs-limits:{a}'],
        ['nestjs-limits:{b}'],
      ]);
    });

    it('outlast every window, even a long one', async () => {
      await storage.consume(hits(lasting(360 * 24 * HOUR)));
      expect(await granted()).toEqual([{ seconds: 2 ** 26, keys: 1 }]);
    });

    it('are not needed for peeks and refusals', async () => {
      await storage.peek(hits(hourly()));
      await storage.consume(hits(hourly({ amount: 0 })));
      expect(await granted()).toEqual([]);
    });
  });

  describe('records', () => {
    it('are removed when all units are refunded', async () => {
      await storage.consume(hits(hourly()));
      await storage.settle(hits(hourly()).map((hit) => ({ ...hit, window: 'current', actual: 0 })));
      expect(await storage.reset()).toBe(0);
      expect((await storage.consume(hits(hourly()))).outcomes[0]?.remaining).toBe(39);
    });

    it('of similar key prefixes are separate, and are reset separately', async () => {
      const [short, long] = [open({ keyPrefix: 'app' }), open({ keyPrefix: 'app:api' })];
      await short.consume(hits(hourly(), 'api:somebody'));
      expect((await long.consume(hits(hourly()))).outcomes[0]?.remaining).toBe(39);
      expect(await short.reset()).toBe(1);
      expect((await long.consume(hits(hourly()))).outcomes[0]?.remaining).toBe(38);
    });

    it('keep counting after the history has been compacted', async () => {
      await storage.consume(hits(hourly()));
      const { header } = await gateway.call<{ header: { revision: string } }>('kv/put', { key: base64('x') });
      await gateway.call('kv/compaction', { revision: header.revision, physical: true });
      expect((await storage.consume(hits(hourly()))).outcomes[0]?.remaining).toBe(38);
      expect(await used(hourly())).toBe(2);
    });

    it('that cannot be parsed fail the calls that need them, and not the calls combined with those', async () => {
      await gateway.call('kv/put', { key: base64('nestjs-limits:{broken}'), value: base64('5') });
      const hit = (own: string): Promise<unknown> =>
        storage.consume([...hits(hourly(), 'common'), ...hits(hourly(), own)]).then(
          ({ outcomes }) => outcomes.map(({ remaining }) => remaining),
          (error: unknown) => String(error),
        );
      expect(await Promise.all(['first', 'fine', 'broken', 'well'].map(hit))).toEqual([
        [39, 39],
        [38, 39],
        'StorageError: A stored record cannot be read: does another program write under this keyPrefix?',
        [37, 39],
      ]);
    });
  });

  it('a given client still works when the storages on it are closed', async () => {
    const client = new Etcd3({ hosts: `127.0.0.1:${server.port}` });
    const given = new EtcdStorage(client, { timeout });
    await given.consume(hits(hourly()));
    expect(await given.check()).toBe(true);
    await given.close();
    expect(await given.check()).toBe(false);
    expect(await client.get('nestjs-limits:{somebody}')).toMatch(/^\{".{8}":\[\d+,1,\d+\]\}$/);
    client.close();
  });

  describe('processes that race', () => {
    const strategies: readonly StrategyName[] = [
      'fixed-window',
      'fixed-window-elastic-expiry',
      'moving-window',
      'sliding-window-counter',
      'token-bucket',
    ];

    it.each(strategies)('for one identity admit exactly the limit together: %s', async (strategy) => {
      const limit = hourly({ strategy });
      const allowed = await Promise.all(
        numbered(4).map(async () => {
          const racer = open();
          let count = 0;
          for (let times = 0; times < 15; times++) if ((await racer.consume(hits(limit))).allowed) count++;
          return count;
        }),
      );
      expect(allowed.reduce((sum, count) => sum + count, 0)).toBe(40);
      expect(await used(limit)).toBe(40);
    });

    it('for several identities in one batch admit exactly the limit of each', async () => {
      const batch = ['a', 'b', 'c'].flatMap((identity) => hits(hourly(), identity));
      const results = await Promise.all(
        numbered(3).flatMap(() => {
          const racer = open();
          return numbered(20).map(() => racer.consume(batch));
        }),
      );
      expect(results.filter(({ allowed }) => allowed)).toHaveLength(40);
      for (const identity of ['a', 'b', 'c']) expect(await used(hourly(), identity)).toBe(40);
    });
  });
});

function hourly(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 40, period: HOUR, ...options });
}

function hits(limit: Limit, identity = 'somebody'): Hit[] {
  return [{ identity, limit, cost: 1 }];
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `number ${index}`);
}
