import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import type { Storage } from 'nestjs-limits';
import type { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { expectStorageErrors, failureOf, untilServed } from '../support/failures.js';
import { hitsOn, limitOf, OpenedStorages } from '../support/postgresql.js';
import { queryPostgres, signalPostgres, startPostgres } from '../support/servers/postgres.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** For tests in which the server does not answer. In others, the timeout only bounds a hang. */
const SHORT = { timeout: 1500 };
const roomy = limitOf('fixed-window', { id: 'roomy', amount: 1_000_000 });
const hits = (identity = 'somebody'): ReturnType<typeof hitsOn> => hitsOn([roomy], 1, identity);

describe('PostgreSQL', () => {
  const storages = new OpenedStorages();
  let server: Server;
  let proxy: TcpProxy;

  beforeAll(async () => {
    server = await startPostgres({ settings: { max_connections: '20' } });
    proxy = await TcpProxy.to(server.port);
  });
  afterEach(async () => {
    await storages.close();
    await storages.open(server.uri).reset();
    await storages.close();
  });
  afterAll(async () => {
    proxy.close();
    await server.stop();
  });

  function throughProxy(options = {}): PostgreSQLStorage {
    return storages.open(server.uri.replace(/:\d+\//, `:${proxy.port}/`), options);
  }

  describe('that is killed', () => {
    it('makes calls reject with a StorageError, and storages serve again once it is back, from zero', async () => {
      const before = storages.open(server.uri, SHORT);
      await before.consume(hits());
      await server.kill();
      const meanwhile = storages.open(server.uri, SHORT);
      try {
        for (const storage of [before, before, meanwhile, meanwhile]) {
          await expectStorageErrors(storage.consume(hits()));
          expect(await storage.check()).toBe(false);
        }
        expect(await failureOf(meanwhile.consume(hits()))).toHaveProperty(
          'message',
          expect.stringContaining('ECONNREFUSED'),
        );
      } finally {
        await server.restart();
      }
      for (const storage of [before, meanwhile])
        await until(() => storage.check(), 'the storage to find the server');
      expect(await used(before)).toBe(0);
      expect((await before.consume(hits())).allowed).toBe(true);
      expect(await used(meanwhile)).toBe(1);
    }, 60_000);

    it('keeps the counts of a durable storage', async () => {
      const options = { ...SHORT, schema: 'durable', durable: true };
      const storage = storages.open(server.uri, options);
      await storage.consume(hitsOn([roomy, limitOf('moving-window')], 3));
      await queryPostgres(server.uri, 'CHECKPOINT'); // a hit is written within 0.6 s, this one now
      await server.kill();
      await server.restart();
      const { outcomes } = await storage.peek(hitsOn([roomy, limitOf('moving-window')]));
      expect(outcomes).toMatchObject([{ remaining: 1_000_000 - 3 }, { remaining: 7 }]);
    }, 60_000);
  });

  describe('that stands still', () => {
    it('makes calls reject in time, keeps no storage from closing, and serves again once it continues', async () => {
      const [storage, closing] = [storages.open(server.uri, SHORT), storages.open(server.uri, SHORT)];
      for (const each of [storage, closing]) await each.consume(hits());
      signalPostgres(server, 'SIGSTOP');
      try {
        const calls = Array.from({ length: 300 }, () => failureOf(storage.consume(hits())));
        for (const error of await Promise.all([...calls, ...uses(storage).map((use) => failureOf(use()))])) {
          expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
        }
        expect(await storage.check()).toBe(false);
        await closing.close();
      } finally {
        signalPostgres(server, 'SIGCONT');
      }
      await until(() => storage.check(), 'the storage to find the server again');
      await storage.consume(hits());
      expect((await storage.consume(hits())).allowed).toBe(true);
    }, 60_000);
  });

  describe('behind a network', () => {
    it('that swallows everything is found again by the first call after reconnect', async () => {
      const storage = throughProxy(SHORT);
      await Promise.all(Array.from({ length: 300 }, () => storage.consume(hits())));
      proxy.blackHole = true;
      await expectStorageErrors(storage.consume(hits()));
      proxy.blackHole = false;
      storage.reconnect();
      expect((await storage.consume(hits())).allowed).toBe(true);
    });

    it('that loses an answer has counted the hit once, and is not repeated', async () => {
      const storage = throughProxy();
      await storage.consume(hits());
      proxy.swallows = 'answers';
      const lost = expectStorageErrors(storage.consume(hits()));
      const watcher = storages.open(server.uri);
      await until(async () => (await used(watcher)) === 2, 'the server to count the hit');
      proxy.cut();
      proxy.swallows = 'nothing';
      await lost;
      expect((await storage.consume(hits())).allowed).toBe(true);
      expect(await used(watcher)).toBe(3);
    });

    it('that cuts connections again and again loses no hit that was allowed, and counts none twice', async () => {
      const storage = throughProxy();
      const load = hitAllTheTime(storage);
      for (let cuts = 1; cuts <= 20; cuts++) {
        const before = load.allowed;
        await until(() => load.allowed > before + 20, 'hits to be counted');
        proxy.cut();
      }
      await load.stop();
      const counted = await used(storages.open(server.uri));
      expect(load.failed).toBeGreaterThan(0);
      expect(counted).toBeGreaterThanOrEqual(load.allowed);
      expect(counted).toBeLessThanOrEqual(load.allowed + load.failed);
    }, 60_000);
  });

  describe('that takes no writes', () => {
    it('fails the check and hits, but not peeks, until it does', async () => {
      const storage = storages.open(server.uri);
      await storage.consume(hits());
      const setReadOnly = async (mode: 'on' | 'off'): Promise<void> => {
        await withWritable(server.uri, `ALTER SYSTEM SET default_transaction_read_only = ${mode}`);
        await queryPostgres(server.uri, 'SELECT pg_reload_conf()');
        await until(
          async () =>
            (await queryPostgres(server.uri, 'SHOW default_transaction_read_only'))[0]?.[
              'default_transaction_read_only'
            ] === mode,
          'the server to take the setting',
        );
      };
      await setReadOnly('on');
      try {
        await until(async () => !(await storage.check()), 'the connection to take the setting');
        expect(await failureOf(storage.consume(hits()))).toHaveProperty('cause.code', '25006');
        expect(await used(storage)).toBe(1);
      } finally {
        await setReadOnly('off');
      }
      expect((await untilServed(() => storage.consume(hits()))).allowed).toBe(true);
      expect(await used(storage)).toBe(2);
    });
  });

  describe('that has no free connection', () => {
    it('makes calls reject, and serves once there is one', async () => {
      const storage = storages.open(server.uri, SHORT);
      const others: Client[] = [];
      for (;;) {
        const other = new Client(server.uri);
        other.on('error', () => undefined);
        try {
          await other.connect();
        } catch {
          break;
        }
        others.push(other);
      }
      try {
        expect(await failureOf(storage.consume(hits()))).toHaveProperty('cause.code', '53300');
      } finally {
        await Promise.all(others.map((other) => other.end()));
      }
      expect((await untilServed(() => storage.consume(hits()))).allowed).toBe(true);
    });

    it('of a given pool makes calls reject in time', async () => {
      const pool = new Pool({ connectionString: server.uri, max: 1 });
      const storage = storages.open(pool, SHORT);
      await storage.consume(hits());
      const busy = await pool.connect();
      await expectStorageErrors([storage.consume(hits()), storage.peek(hits())]);
      expect(await storage.check()).toBe(false);
      busy.release();
      expect((await storage.consume(hits())).allowed).toBe(true);
      await pool.end();
    });
  });

  describe('on which one identity is hit by many calls', () => {
    it('counts every hit, and decides for another identity at the same time', async () => {
      const storage = storages.open(server.uri, { timeout: 25_000 });
      const busy = Promise.all(Array.from({ length: 2000 }, () => storage.consume(hits('busy'))));
      expect((await storage.consume(hits('another user'))).allowed).toBe(true);
      await busy;
      expect(await used(storage, 'busy')).toBe(2000);
    });
  });
});

async function used(storage: Storage, identity = 'somebody'): Promise<number> {
  const { outcomes } = await storage.peek(hits(identity));
  return roomy.amount - (outcomes[0]?.remaining ?? 0);
}

/** Runs a statement in a transaction that may write, whatever the default. */
async function withWritable(uri: string, text: string): Promise<void> {
  const client = new Client({ connectionString: uri, options: '-c default_transaction_read_only=off' });
  await client.connect();
  await client.query(text);
  await client.end();
}

/** Calls of every method except `consume` and `check`. */
function uses(storage: PostgreSQLStorage): (() => Promise<unknown>)[] {
  const [hit] = hits('nobody');
  return [
    () => storage.peek(hits()),
    () => storage.settle(hit === undefined ? [] : [{ ...hit, window: 'current', actual: 0 }]),
    () => storage.remove(hits('nobody')),
    () => storage.reset(),
  ];
}

/** Hits one identity, eight at a time, until `stop`. */
function hitAllTheTime(storage: PostgreSQLStorage): {
  allowed: number;
  failed: number;
  stop(): Promise<void>;
} {
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
        await storage.consume(hits());
        load.allowed++;
      } catch {
        load.failed++;
        await sleep(10);
      }
    }
  };
  const hitters = Promise.all(Array.from({ length: 8 }, hitter));
  return load;
}
