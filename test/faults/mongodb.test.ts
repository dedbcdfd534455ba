import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MongoClient, type Collection } from 'mongodb';
import { createLimit, type CreateLimitOptions, type Hit, type Limit } from 'nestjs-limits';
import { isStorageError } from '../../lib/common/errors.js';
import { MongoDBStorage, type MongoDBStorageOptions } from 'nestjs-limits/mongodb';
import { failureOf, untilServed } from '../support/failures.js';
import { describeWithMongod } from '../support/servers.js';
import { startMongo } from '../support/servers/mongo.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const HOUR = 3_600_000;
/** For tests in which the server does not respond. Elsewhere the timeout only bounds a hang. */
const SHORT = { timeout: 2000 };

const opened: MongoDBStorage[] = [];

function open(uri: string, options: MongoDBStorageOptions = {}): MongoDBStorage {
  const storage = new MongoDBStorage(uri, { timeout: 10_000, ...options });
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
    it('makes calls reject with a StorageError, and storages serve again once it is back', async () => {
      const before = open(server.uri, SHORT);
      await untilServed(() => before.peek(hits())); // connects
      await before.consume(hits());
      await server.kill();
      const meanwhile = open(server.uri, SHORT);
      try {
        for (const storage of [before, before, meanwhile, meanwhile]) {
          const error = await failureOf(storage.consume(hits()));
          expect(error).toMatchObject({ name: 'StorageError', code: 'ERR_RATE_LIMIT_STORAGE' });
          expect(error).toHaveProperty('message', expect.stringMatching(/^MongoDBStorage failed: ./));
          expect(error).toHaveProperty('cause.message', expect.any(String));
          expect(await storage.check()).toBe(false);
        }
        const error = await failureOf(meanwhile.consume(hits()));
        expect(error).toHaveProperty('message', expect.stringContaining('ECONNREFUSED'));
      } finally {
        await server.restart();
      }
      for (const [index, storage] of [before, meanwhile].entries()) {
        await until(() => storage.check(), 'the storage to find the server');
        expect(await used(open(server.uri))).toBe(1 + index);
        expect((await untilServed(() => storage.consume(hits()))).allowed).toBe(true);
      }
    }, 60_000);

    it('loses no counts, and counts nothing twice', async () => {
      const load = hitAllTheTime(open(server.uri, SHORT));
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

  describe('that is stopped', () => {
    it('makes calls reject with a StorageError, and serves again once it continues', async () => {
      const storage = open(server.uri, SHORT);
      await untilServed(() => storage.peek(hits())); // connects
      await storage.consume(hits());
      process.kill(server.pid, 'SIGSTOP');
      try {
        for (const failures of [1, 150]) {
          const calls = Array.from({ length: failures }, () => failureOf(storage.consume(hits())));
          for (const error of await Promise.all(calls)) {
            expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
          }
        }
        for (const call of uses(storage)) {
          const error = await failureOf(call());
          expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
        }
        expect(await storage.check()).toBe(false);
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
      await until(() => storage.check(), 'the storage to find the server again');
      // A hit that had a connection was sent, and may be counted once the server continues. The
      // others were never sent.
      const counter = open(server.uri);
      await counter.consume(hits());
      const counted = await used(counter);
      expect(counted).toBeGreaterThanOrEqual(2);
      expect(counted).toBeLessThanOrEqual(153);
    }, 60_000);

    it('does not stop a storage from closing', async () => {
      const storage = open(server.uri, SHORT);
      await untilServed(() => storage.peek(hits())); // connects
      await storage.consume(hits());
      process.kill(server.pid, 'SIGSTOP');
      try {
        await storage.close();
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
    });
  });

  describe('whose reply is lost with the connection', () => {
    let proxy: TcpProxy;
    beforeAll(async () => {
      proxy = await TcpProxy.to(server.port);
    });
    afterAll(() => proxy.close());

    it.each([
      [true, 'resolves'], // the driver retries, and the server recognizes the retry
      [false, 'rejects'],
    ])('has counted the hit, once (with retryWrites: %s, it %s)', async (retryWrites, outcome) => {
      const watcher = open(server.uri);
      const uri = `mongodb://127.0.0.1:${proxy.port}/test?directConnection=true`;
      const storage = open(uri, { retryWrites });
      await storage.consume(hits());
      proxy.requests = '';
      const settled = storage.consume(hits()).then(
        () => 'resolves',
        (error: unknown) => (isStorageError(error) ? 'rejects' : error),
      );
      // The read gets a reply, the update does not.
      while (!proxy.requests.includes('update\0')) await setImmediate();
      proxy.swallows = 'answers';
      await until(async () => (await used(watcher)) === 2, 'the server to count the hit');
      proxy.swallows = 'nothing';
      proxy.cut();
      expect(await settled).toBe(outcome);
      expect(await used(watcher)).toBe(2);
      await until(() => storage.check(), 'the storage to connect again');
      await storage.consume(hits());
      expect(await used(watcher)).toBe(3);
    });
  });

  describe('with many calls on one identity', () => {
    it('counts every hit, and still decides for another identity', async () => {
      const storage = open(server.uri, { timeout: 25_000, maxPoolSize: 2 });
      await storage.consume(hits(roomy, 'busy'));
      const busy = Promise.all(Array.from({ length: 400 }, () => storage.consume(hits(roomy, 'busy'))));
      expect((await storage.consume(hits(roomy, 'another user'))).allowed).toBe(true);
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

    it('counts from zero, and deletes expired documents from a minute later on', async () => {
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

  describe('with documents that another program has written to', () => {
    it('makes calls for those identities reject with a StorageError', async () => {
      const storage = open(server.uri);
      const documents = admin.db().collection<{ _id: string; text: string }>('rate_limits');
      await documents.insertOne({ _id: 'nestjs-limits:{somebody}', text: 'none' });
      expect(await failureOf(storage.consume(hits()))).toMatchObject({
        code: 'ERR_RATE_LIMIT_STORAGE',
        cause: { message: expect.any(String) },
      });
      expect((await storage.consume(hits(hourly(), 'another user'))).allowed).toBe(true);
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

/** Every method but `consume` and `check`. */
function uses(storage: MongoDBStorage): (() => Promise<unknown>)[] {
  return [
    () => storage.peek(hits()),
    () => storage.settle(hits(hourly(), 'nobody').map((hit) => ({ ...hit, window: 'current', actual: 0 }))),
    () => storage.remove(hits(hourly(), 'nobody')),
    () => storage.reset(),
  ];
}

async function used(storage: MongoDBStorage, limit = hourly(), identity = 'somebody'): Promise<number> {
  const { outcomes } = await storage.peek(hits(limit, identity));
  return limit.amount - (outcomes[0]?.remaining ?? 0);
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
