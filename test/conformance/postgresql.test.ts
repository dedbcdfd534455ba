import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Pool } from 'pg';
import postgres from 'postgres';
import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { describeStorage } from 'nestjs-limits/testing';
import { describeOn } from '../support/servers.js';
import { queryPostgres } from '../support/servers/postgres.js';

/** The machine may be busy, and some cases make hundreds of calls at once. */
const PATIENT = { timeout: 20_000 };

describeOn('POSTGRESQL', 'on a server', (uri) => {
  describeStorage('PostgreSQLStorage', {
    open: (options) => new PostgreSQLStorage(uri, { ...options, ...PATIENT }),
  });
});

describeOn('PGBOUNCER', 'behind a pooler in transaction mode', (uri) => {
  describeStorage('PostgreSQLStorage', {
    open: (options) => new PostgreSQLStorage(uri, { ...options, ...PATIENT }),
  });
});

describeOn('POSTGRESQL', 'with logged tables, in a schema with a strange name', (uri) => {
  const schema = `it's "ours"`;
  describeStorage('PostgreSQLStorage', {
    open: (options) => new PostgreSQLStorage(uri, { ...options, ...PATIENT, schema, durable: true }),
  });

  it('has made logged tables there', async () => {
    const text =
      'SELECT relname AS name, relpersistence AS kind FROM pg_class WHERE relkind = $1 AND relnamespace = to_regnamespace($2)';
    const tables = await queryPostgres(uri, `${text} ORDER BY 1`, ['r', '"it\'s ""ours"""']);
    expect(tables).toEqual([
      { name: 'rate_limit_log', kind: 'p' },
      { name: 'rate_limit_settings', kind: 'p' },
      { name: 'rate_limits', kind: 'p' },
    ]);
  });
});

describeOn('POSTGRESQL', 'with a given client', (uri) => {
  describe('a pool of pg', () => {
    let pool: Pool;
    beforeAll(() => {
      pool = new Pool({ connectionString: uri });
    });
    afterAll(() => pool.end());

    describeStorage('PostgreSQLStorage', {
      open: (options) => new PostgreSQLStorage(pool, { ...options, ...PATIENT }),
    });

    it('leaves it open when the storages on it are closed', async () => {
      expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });
  });

  describe('postgres.js', () => {
    let sql: postgres.Sql;
    beforeAll(() => {
      sql = postgres(uri);
    });
    afterAll(() => sql.end());

    describeStorage('PostgreSQLStorage', {
      open: (options) =>
        new PostgreSQLStorage(
          { query: (text, values = []) => sql.unsafe(text, values as string[]) },
          { ...options, ...PATIENT },
        ),
    });

    it('leaves it open when the storages on it are closed', async () => {
      expect([...(await sql`SELECT 1 AS one`)]).toEqual([{ one: 1 }]);
    });
  });
});
