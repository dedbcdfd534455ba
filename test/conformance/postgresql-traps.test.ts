import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { createLimit, StorageError } from 'nestjs-limits';
import type { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { failureOf } from '../support/failures.js';
import { hitsOn, limitOf, OpenedStorages } from '../support/postgresql.js';
import { describeOn } from '../support/servers.js';
import { queryPostgres, withPostgres } from '../support/servers/postgres.js';
import { until } from '../support/servers/server-process.js';

/** Known problems of other libraries on PostgreSQL. */

describeOn('POSTGRESQL', 'on PostgreSQL', (uri) => {
  const storages = new OpenedStorages();
  const limit = limitOf('fixed-window');
  let schema: string;
  let client: Client;

  beforeAll(async () => {
    client = new Client(uri);
    await client.connect();
  });
  beforeEach(() => {
    schema = `traps_${randomBytes(4).toString('hex')}`;
  });
  afterEach(async () => {
    await storages.close();
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  });
  afterAll(() => client.end());

  function open(): PostgreSQLStorage {
    return storages.open(uri, { schema });
  }

  /** A URI of another role. */
  function as(role: string): string {
    return uri.replace('//postgres@', `//${role}@`);
  }

  async function allowed(storage: PostgreSQLStorage, identity = 'user/42'): Promise<boolean> {
    return (await storage.consume(hitsOn([limit], 1, identity))).allowed;
  }

  describe('an installation', () => {
    it('succeeds for ten processes that begin at once, and is one', async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => allowed(open())));
      expect(answers).toEqual(Array.from({ length: 10 }, () => true));
      const functions = 'SELECT count(*)::int AS count FROM pg_proc WHERE pronamespace = to_regnamespace($1)';
      expect((await queryPostgres(uri, functions, [schema]))[0]).toEqual({ count: 2 });
    });

    it('is repeated by the next call after it has been dropped', async () => {
      const storage = open();
      await allowed(storage);
      await client.query(`DROP SCHEMA ${schema} CASCADE`);
      expect((await storage.consume(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 9 }]);
      await client.query(`DROP TABLE ${schema}.rate_limit_log`);
      expect((await storage.consume(hitsOn([limitOf('moving-window')]))).allowed).toBe(true);
    });

    it('ignores a table of the same name on the search path', async () => {
      await client.query('CREATE TABLE IF NOT EXISTS public.rate_limits (key text PRIMARY KEY)');
      try {
        expect(await allowed(open())).toBe(true);
      } finally {
        await client.query('DROP TABLE public.rate_limits');
      }
    });

    it('of unlogged tables is rejected by a durable storage, with the SQL that changes them', async () => {
      await allowed(open());
      const durable = storages.open(uri, { schema, durable: true });
      const error = (await failureOf(durable.consume(hitsOn([limit])))) as Error;
      const [, sql = ''] =
        /^The tables of the schema .* are not logged, .* Run: (.*)$/.exec(error.message) ?? [];
      await client.query(sql);
      expect(await allowed(durable)).toBe(true);
    });
  });

  describe('a role that may create nothing', () => {
    const role = `app_${randomBytes(4).toString('hex')}`;
    beforeAll(() => client.query(`CREATE ROLE ${role} LOGIN`));
    afterEach(() => client.query(`DROP OWNED BY ${role}`));
    afterAll(() => client.query(`DROP ROLE ${role}`));

    it('gets an error with the SQL to run, and counts afterwards', async () => {
      const storage = storages.open(as(role), { schema });
      const error = await failureOf(storage.consume(hitsOn([limit])));
      expect(error).toBeInstanceOf(StorageError);
      expect(error).toHaveProperty('cause.code', '42501');
      const [, sql = ''] = / Run as the owner of the database: (.*)$/.exec((error as Error).message) ?? [];
      expect(sql).toBe(
        `CREATE SCHEMA IF NOT EXISTS "${schema}"; GRANT USAGE, CREATE ON SCHEMA "${schema}" TO ${role}; ` +
          `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${schema}" TO ${role}; ` +
          `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "${schema}" TO ${role};`,
      );
      expect(await storage.check()).toBe(false);
      await client.query(sql);
      expect(await allowed(storage)).toBe(true);
      expect(await storage.check()).toBe(true);
    });

    it('counts if everything exists and it may use it', async () => {
      await allowed(open());
      await client.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
      await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`);
      const storage = storages.open(as(role), { schema });
      expect((await storage.consume(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 8 }]);
      expect((await storage.peek(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 8 }]);
      expect(await storage.check()).toBe(true);
      expect(await storage.reset()).toBe(1);
    });

    it('that may only read gets the SQL too', async () => {
      await allowed(open());
      await client.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
      await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`);
      const storage = storages.open(as(role), { schema });
      expect((await storage.peek(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 9 }]);
      expect(await storage.check()).toBe(false);
      expect(await failureOf(storage.consume(hitsOn([limit])))).toHaveProperty(
        'message',
        expect.stringContaining('GRANT SELECT, INSERT, UPDATE, DELETE'),
      );
    });
  });

  describe('a setting of the role', () => {
    const role = `strange_${randomBytes(4).toString('hex')}`;
    beforeAll(() => client.query(`CREATE ROLE ${role} LOGIN SUPERUSER`));
    afterEach(() => client.query(`ALTER ROLE ${role} RESET ALL`));
    afterAll(() => client.query(`DROP ROLE ${role}`));

    it.each(['repeatable read', 'serializable'])(
      'of %s is refused, since it would count wrong',
      async (level) => {
        await client.query(`ALTER ROLE ${role} SET default_transaction_isolation = '${level}'`);
        const storage = storages.open(as(role), { schema });
        expect(await failureOf(storage.consume(hitsOn([limit])))).toHaveProperty(
          'message',
          'PostgreSQLStorage failed: rate limits are counted in transactions that are READ COMMITTED only. ' +
            "Set default_transaction_isolation of the role to 'read committed'.",
        );
      },
    );

    it('of read-only transactions makes check false, and calls reject', async () => {
      await allowed(open());
      await client.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
      const storage = storages.open(as(role), { schema });
      expect(await storage.check()).toBe(false);
      expect(await failureOf(storage.consume(hitsOn([limit])))).toHaveProperty('cause.code', '25006');
    });

    it('of another search path, time zone or style of dates changes nothing', async () => {
      await client.query(`ALTER ROLE ${role} SET search_path = nowhere`);
      await client.query(`ALTER ROLE ${role} SET timezone = 'Asia/Kathmandu'`);
      await client.query(`ALTER ROLE ${role} SET datestyle = 'German, DMY'`);
      await client.query(`ALTER ROLE ${role} SET intervalstyle = 'iso_8601'`);
      const storage = storages.open(as(role), { schema });
      expect(await allowed(storage)).toBe(true);
      expect((await storage.consume(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 8 }]);
    });
  });

  describe('a bad value', () => {
    it('of one identity fails neither its neighbours nor their counts', async () => {
      const storage = open();
      await allowed(storage, 'bad');
      await client.query(
        `UPDATE ${schema}.rate_limits SET cells = jsonb_set(cells, '{${limit.digest}}', '["none", "none", "none"]')`,
      );
      const results = await Promise.allSettled(
        ['good', 'bad', 'good too', 'bad', 'good'].map((identity) =>
          storage.consume(hitsOn([limit], 1, identity)),
        ),
      );
      expect(results.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      const { outcomes } = await storage.peek(
        ['good', 'good too'].flatMap((each) => hitsOn([limit], 1, each)),
      );
      expect(outcomes.map(({ remaining }) => remaining)).toEqual([8, 9]);
    });
  });

  describe('a row that another transaction has locked', () => {
    it('fails the calls for it in time, but not those that share a call with them', async () => {
      const storage = storages.open(uri, { schema, timeout: 1500 });
      await allowed(storage, 'locked');
      await client.query('BEGIN');
      await client.query(`SELECT FROM ${schema}.rate_limits FOR UPDATE`);
      try {
        const identities = ['free', 'locked', 'free too', 'locked', 'free'];
        const results = await Promise.allSettled(
          identities.map((identity) => storage.consume(hitsOn([limit], 1, identity))),
        );
        expect(results.map(({ status }) => status)).toEqual(
          identities.map((identity) => (identity === 'locked' ? 'rejected' : 'fulfilled')),
        );
        expect((await storage.peek(hitsOn([limit], 1, 'locked'))).outcomes).toMatchObject([{ remaining: 9 }]);
      } finally {
        await client.query('COMMIT');
      }
      expect((await storage.consume(hitsOn([limit], 1, 'locked'))).outcomes).toMatchObject([
        { remaining: 8 },
      ]);
    });

    it('is decided by the time at which it is unlocked', async () => {
      const storage = open();
      await allowed(storage);
      await client.query('BEGIN');
      await client.query(`SELECT FROM ${schema}.rate_limits FOR UPDATE`);
      const waiting = storage.consume(hitsOn([limit]));
      const isWaiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
      await until(
        async () => (await queryPostgres(uri, isWaiting, [`%${schema}%`])).length === 1,
        'the hit to wait for the lock',
      );
      const { rows } = await client.query<{ now: string }>(
        'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) AS now',
      );
      await client.query('COMMIT');
      expect((await waiting).now).toBeGreaterThanOrEqual(Number(rows[0]?.now));
    });
  });

  describe('a transaction of the application', () => {
    it('takes a hit back when it is rolled back, and keeps no setting of the storage', async () => {
      await allowed(open());
      await withPostgres(uri, async (own) => {
        const storage = storages.open(own, { schema });
        await own.query('BEGIN');
        await allowed(storage);
        expect((await own.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'off' }]);
        await own.query('ROLLBACK');
        expect((await own.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }]);
        expect((await own.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '0' }]);
        expect((await storage.peek(hitsOn([limit]))).outcomes).toMatchObject([{ remaining: 9 }]);
      });
    });

    it('leaves no prepared statement on its connection', async () => {
      await withPostgres(uri, async (own) => {
        const storage = storages.open(own, { schema });
        for (let hit = 0; hit < 10; hit++) await allowed(storage);
        expect((await own.query('SELECT * FROM pg_prepared_statements')).rows).toEqual([]);
      });
    });
  });

  describe('a plan', () => {
    it('made for a small table does not scan the table after it has grown', async () => {
      await withPostgres(uri, async (own) => {
        const storage = storages.open(own, { schema });
        const many = createLimit({ id: 'many', strategy: 'moving-window', amount: 1000, period: 3_600_000 });
        for (let hit = 0; hit < 20; hit++)
          await storage.consume(hitsOn([limit, many], 1, `early ${hit % 5}`));
        await own.query(`ANALYZE ${schema}.rate_limits`);
        await own.query(`ANALYZE ${schema}.rate_limit_log`);
        await own.query(
          `INSERT INTO ${schema}.rate_limits SELECT 'x' || n, '{}', now() + interval '1 h' FROM generate_series(1, 20000) n`,
        );
        const scans = `SELECT sum(seq_tup_read)::int AS read FROM pg_stat_xact_user_tables WHERE schemaname = '${schema}'`;
        await own.query('BEGIN');
        for (let hit = 0; hit < 20; hit++) await storage.consume(hitsOn([limit, many], 1, `late ${hit % 5}`));
        await storage.peek(hitsOn([limit, many], 1, 'late 1'));
        const { rows } = await own.query<{ read: number }>(scans);
        await own.query('COMMIT');
        expect(rows).toEqual([{ read: 0 }]);
      });
    });
  });

  describe('a moving window', () => {
    it('finds the hits to wait for among thousands in a few steps', async () => {
      await withPostgres(uri, async (own) => {
        const storage = storages.open(own, { schema });
        const large = limitOf('moving-window', { amount: 5000 });
        const { now } = await storage.consume(hitsOn([large]));
        const log = `${schema}.rate_limit_log`;
        await own.query(
          `INSERT INTO ${log} SELECT key, id, at - 5000 + n, n FROM ${log}, generate_series(1, 4999) n`,
        );
        await own.query(`UPDATE ${log} SET total = 5000 WHERE at = ${now}`);
        await own.query('BEGIN');
        const later = await storage.peek(hitsOn([large], 1234));
        const reads = `SELECT idx_tup_fetch::int AS read FROM pg_stat_xact_user_tables WHERE schemaname = '${schema}' AND relname = 'rate_limit_log'`;
        const { rows } = await own.query<{ read: number }>(reads);
        await own.query('COMMIT');
        const opening = now - 5000 + large.period;
        expect(later.outcomes).toMatchObject([
          { allowed: false, remaining: 0, resetTime: opening + 1, retryAfter: opening + 1234 - later.now },
        ]);
        expect(rows[0]?.read).toBeLessThan(50);
      });
    });
  });
});
