import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MongoClient, type Collection } from 'mongodb';
import { createLimit, type CreateLimitOptions, type Hit, type Limit } from 'nestjs-limits';
import { isStorageError } from '../../lib/common/errors.js';
import { MongoDBStorage, type MongoDBStorageOptions } from 'nestjs-limits/mongodb';
import { describeWithMongod } from '../support/servers.js';
import { startMongo } from '../support/servers/mongo.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const HOUR = 3_600_000;
const TIMEOUT = 1000;
/** On a busy machine; still less than two calls would take, one after the other. */
const SURELY_WITHIN = 1.9 * TIMEOUT;
/** How long it may take until a server is found again. */
const RECOVERY = 15_000;

const opened: MongoDBStorage[] = [];

function open(uri: string, options: MongoDBStorageOptions = {}): MongoDBStorage {
  const storage = new MongoDBStorage(uri, { timeout: TIMEOUT, ...options });
  opened.push(storage);
  return storage;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
});

describeWithMongod('MongoDB', () => {
  let server: Server;
  let admin: MongoClient;
  beforeAll(async () => {
    server = await startMongo({ replica: true });
    admin = new MongoClient(server.uri);
  }, 60_000);
  afterEach(() => admin.db().dropDatabase());
  afterAll(async () => {
    await admin.close();
    await server.stop();
  });

  describe('that is killed', () => {
    it('makes StorageErrors within the timeout, and storages serve by themselves when it is back', async () => {
      const before = open(server.uri);
      await before.consume(hits());
      await server.kill();
      const meanwhile = open(server.uri);
      try {
        for (const storage of [before, before, meanwhile, meanwhile]) {
          const { error, elapsed } = await failureOf(storage.consume(hits()));
          expect(error).toMatchObject({ name: 'StorageError', code: 'ERR_RATE_LIMIT_STORAGE' });
          expect(error).toHaveProperty('message', expect.stringMatching(/^MongoDBStorage failed: ./));
          expect(error).toHaveProperty('cause.message', expect.any(String));
          expect(elapsed).toBeLessThan(SURELY_WITHIN);
          expect(await storage.check()).toBe(false);
        }
        const { error } = await failureOf(meanwhile.consume(hits()));
        expect(error).toHaveProperty('message', expect.stringContaining('ECONNREFUSED'));
      } finally {
        await server.restart();
      }
      for (const [index, storage] of [before, meanwhile].entries()) {
        await until(() => storage.check(), 'the storage to find the server', RECOVERY);
        expect(await used(storage)).toBe(1 + index);
        expect((await storage.consume(hits())).allowed).toBe(true);
      }
    }, 60_000);

    it('forgets nothing that was counted, and counts nothing twice', async () => {
      const storage = open(server.uri);
      const load = hitAllTheTime(storage);
      await until(() => load.allowed > 50, 'hits to be counted');
      await server.kill();
      await until(() => load.failed > 5, 'hits to fail');
      await server.restart();
      const before = load.allowed;
      await until(() => load.allowed > before + 50, 'hits to be counted again');
      await load.stop();
      const counted = await used(open(server.uri), roomy);
      expect(counted).toBeGreaterThanOrEqual(load.allowed);
      expect(counted).toBeLessThanOrEqual(load.allowed + load.failed);
    }, 60_000);
  });

  describe('that stands still', () => {
    it('makes StorageErrors within the timeout, and serves again by itself when it goes on', async () => {
      const storage = open(server.uri);
      await storage.consume(hits());
      process.kill(server.pid, 'SIGSTOP');
      try {
        for (const failures of [1, 150]) {
          const calls = Array.from({ length: failures }, () => failureOf(storage.consume(hits())));
          for (const { error, elapsed } of await Promise.all(calls)) {
            expect(error).toMatchObject({
              code: 'ERR_RATE_LIMIT_STORAGE',
              cause: { message: expect.any(String) },
            });
            expect(elapsed).toBeLessThan(SURELY_WITHIN);
          }
        }
        for (const call of uses(storage)) {
          const { error, elapsed } = await failureOf(call());
          expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
          expect(elapsed).toBeLessThan(SURELY_WITHIN);
        }
        const before = Date.now();
        expect(await storage.check()).toBe(false);
        expect(Date.now() - before).toBeLessThan(SURELY_WITHIN);
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
      await until(() => storage.check(), 'the storage to find the server again', RECOVERY);
      const counted = await used(storage);
      // Those that had a connection were sent, and counted when the server went on; the others never were.
      expect(counted).toBeGreaterThanOrEqual(1);
      expect(counted).toBeLessThanOrEqual(152);
      await storage.consume(hits());
      expect(await used(storage)).toBe(counted + 1);
    }, 60_000);

    it('does not keep a storage from closing', async () => {
      const storage = open(server.uri);
      await storage.consume(hits());
      process.kill(server.pid, 'SIGSTOP');
      try {
        const before = Date.now();
        await storage.close();
        expect(Date.now() - before).toBeLessThan(SURELY_WITHIN);
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
    });
  });

  describe('whose answer is lost with the connection', () => {
    let proxy: TcpProxy;
    beforeAll(async () => {
      proxy = await TcpProxy.to(server.port);
    });
    afterAll(() => proxy.close());

    it.each([
      [true, 'resolves'], // the driver asks again, and the server knows that it has been asked before
      [false, 'rejects'],
    ])('has counted the hit, once (with retryWrites: %s, it %s)', async (retryWrites, outcome) => {
      const watcher = open(server.uri);
      const uri = `mongodb://127.0.0.1:${proxy.port}/test?directConnection=true`;
      const storage = open(uri, { retryWrites, timeout: 8000 });
      await storage.consume(hits());
      proxy.requests = '';
      const settled = storage.consume(hits()).then(
        () => 'resolves',
        (error: unknown) => (isStorageError(error) ? 'rejects' : error),
      );
      // The reading is answered, the update is not.
      while (!proxy.requests.includes('update\0')) await setImmediate();
      proxy.swallows = 'answers';
      await until(async () => (await used(watcher)) === 2, 'the server to count the hit');
      proxy.swallows = 'nothing';
      proxy.cut();
      expect(await settled).toBe(outcome);
      expect(await used(watcher)).toBe(2);
      await until(() => storage.check(), 'the storage to connect again', RECOVERY);
      await storage.consume(hits());
      expect(await used(watcher)).toBe(3);
    });
  });

  describe('on which everybody hits one identity', () => {
    it('counts every hit, and keeps no other identity waiting', async () => {
      const storage = open(server.uri, { timeout: 20_000, maxPoolSize: 2 });
      await storage.consume(hits(roomy, 'busy'));
      const busy = Promise.all(Array.from({ length: 400 }, () => storage.consume(hits(roomy, 'busy'))));
      expect((await storage.consume(hits(roomy, 'somebody else'))).allowed).toBe(true);
      await busy;
      expect(await used(storage, roomy, 'busy')).toBe(401);
    });
  });

  describe('that loses the collection', () => {
    let documents: Collection;
    beforeEach(() => {
      documents = admin.db().collection('rate_limits');
    });
    afterEach(() => {
      jest.restoreAllMocks();
    });

    it('counts anew, and deletes what has expired from a minute later on', async () => {
      const storage = open(server.uri);
      await storage.consume(hits());
      await documents.drop();
      expect(await used(storage)).toBe(0);
      await storage.consume(hits());
      expect(await used(storage)).toBe(1);

      const now = performance.now.bind(performance);
      jest.spyOn(performance, 'now').mockImplementation(() => now() + 61_000);
      await storage.consume(hits());
      expect(await documents.indexes()).toContainEqual(
        expect.objectContaining({ key: { expireAt: 1 }, expireAfterSeconds: 0 }),
      );
    });
  });

  describe('whose documents somebody else has written to', () => {
    it('makes StorageErrors for those identities', async () => {
      const storage = open(server.uri);
      const documents = admin.db().collection<{ _id: string; text: string }>('rate_limits');
      await documents.insertOne({ _id: 'nestjs-limits:{somebody}', text: 'none' });
      expect((await failureOf(storage.consume(hits()))).error).toMatchObject({
        code: 'ERR_RATE_LIMIT_STORAGE',
        cause: { message: expect.any(String) },
      });
      expect((await storage.consume(hits(hourly(), 'somebody else'))).allowed).toBe(true);
    });
  });
});

function hourly(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 400, period: HOUR, ...options });
}

const roomy = hourly({ id: 'roomy', amount: 1_000_000 });

function hits(limit = hourly(), identity = 'somebody'): Hit[] {
  return [{ identity, limit, cost: 1 }];
}

/** Every call but `consume` and `check`. */
function uses(storage: MongoDBStorage): (() => Promise<unknown>)[] {
  return [
    () => storage.peek(hits()),
    () => storage.refund(hits(hourly(), 'nobody').map((hit) => ({ ...hit, window: 'current' }))),
    () => storage.remove(hits(hourly(), 'nobody')),
    () => storage.reset(),
  ];
}

async function used(storage: MongoDBStorage, limit = hourly(), identity = 'somebody'): Promise<number> {
  const { outcomes } = await storage.peek(hits(limit, identity));
  return limit.amount - (outcomes[0]?.remaining ?? 0);
}

async function failureOf(call: Promise<unknown>): Promise<{ error: unknown; elapsed: number }> {
  const before = Date.now();
  try {
    await call;
  } catch (error) {
    return { error, elapsed: Date.now() - before };
  }
  throw new Error('It did not fail.');
}

/** Hits one identity, four at a time, until it is stopped. */
function hitAllTheTime(storage: MongoDBStorage): { allowed: number; failed: number; stop(): Promise<void> } {
  const load = {
    allowed: 0,
    failed: 0,
    stopped: false,
    async stop() {
      load.stopped = true;
      await hitters;
    },
  };
  const hitter = async (): Promise<void> => {
    while (!load.stopped) {
      try {
        await storage.consume(hits(roomy));
        load.allowed++;
      } catch {
        load.failed++;
        await sleep(10);
      }
    }
  };
  const hitters = Promise.all(Array.from({ length: 4 }, hitter));
  return load;
}
