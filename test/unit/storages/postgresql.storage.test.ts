import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { storageFromString } from 'nestjs-limits';
import {
  PostgreSQLStorage,
  type PostgreSQLClient,
  type PostgreSQLStorageOptions,
} from 'nestjs-limits/postgresql';
import { writeArguments } from '../../../lib/storages/postgresql/decision-call.js';
import { parsePostgreSQLUri, withSsl } from '../../../lib/storages/postgresql/postgresql-uri.js';
import { partsToRetry, type WaitingBatch } from '../../../lib/storages/postgresql/retries.js';
import { hitsOn, limitOf } from '../../support/postgresql.js';

describe('the URI of a PostgreSQLStorage', () => {
  it.each([
    ['postgres://localhost', { host: 'localhost', port: 5432 }],
    [
      'postgresql://user:p%40ss@db.example.com:6543/my%20app?application_name=api',
      {
        host: 'db.example.com',
        port: 6543,
        user: 'user',
        password: 'p@ss',
        database: 'my app',
        application_name: 'api',
      },
    ],
    ['postgres://u@%2Fvar%2Frun/db', { host: '/var/run', port: 5432, user: 'u', database: 'db' }],
    ['postgres://u@/db?host=/var/run&port=6000', { host: '/var/run', port: 6000, user: 'u', database: 'db' }],
    [
      'postgres://[::1]:5433/db?options=-c%20geqo%3Doff',
      { host: '::1', port: 5433, database: 'db', options: '-c geqo=off' },
    ],
    [
      'postgres://h/db?pgbouncer=true&schema=public&connection_limit=1',
      { host: 'h', port: 5432, database: 'db' },
    ],
  ])('%s names the server', (uri, settings) => {
    expect(parsePostgreSQLUri(uri)).toEqual({ application_name: 'nestjs-limits', ...settings });
  });

  it.each([
    ['', undefined],
    ['sslmode=disable', false],
    ['sslmode=no-verify', { rejectUnauthorized: false }],
    ['sslmode=prefer', {}],
    ['sslmode=require', {}],
    ['sslmode=verify-full', {}],
    ['sslmode=verify-ca', { checkServerIdentity: expect.any(Function) }],
  ])('with "%s" uses TLS options %j', (query, ssl) => {
    expect(parsePostgreSQLUri(`postgres://h/db?${query}`).ssl).toEqual(ssl);
  });

  it('leaves the host to the driver if it names none', () => {
    expect(parsePostgreSQLUri('postgres:///db')).toEqual({
      application_name: 'nestjs-limits',
      port: 5432,
      database: 'db',
    });
  });

  it('may name the files of certificates', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'postgresql-')), 'ca.pem');
    writeFileSync(file, 'a certificate');
    expect(parsePostgreSQLUri(`postgres://h/db?sslmode=verify-ca&sslrootcert=${file}`).ssl).toMatchObject({
      ca: 'a certificate',
    });
    expect(parsePostgreSQLUri(`postgres://h/db?sslrootcert=${file}`).ssl).toEqual({ ca: 'a certificate' });
    expect(() => parsePostgreSQLUri(`postgres://h/db?sslkey=${file}.none`)).toThrow(
      'The file that "sslkey" in the URI of a PostgreSQLStorage names cannot be read: ENOENT',
    );
  });

  it('keeps its sslmode with TLS options, which take precedence', () => {
    const ca = 'a certificate';
    const of = (query: string, ssl?: PostgreSQLStorageOptions['ssl']): unknown =>
      withSsl(parsePostgreSQLUri(`postgres://h/db?${query}`), ssl).ssl;
    expect(of('sslmode=require', { ca })).toEqual({ ca });
    expect(of('sslmode=no-verify', { ca })).toEqual({ ca, rejectUnauthorized: false });
    expect(of('sslmode=disable', { ca })).toEqual({ ca });
    expect(of('sslmode=no-verify', true)).toEqual({ rejectUnauthorized: false });
    expect(of('sslmode=require', false)).toBe(false);
    expect(of('', true)).toBe(true);
  });

  it.each([
    ['another scheme', 'redis://user:hunter2@localhost', /needs a URI of the form postgres:\/\//],
    ['several hosts', 'postgres://user:hunter2@one,two/db', /names several hosts/],
    ['an unescaped password', 'postgres://user:hunter2@x@localhost/db', /has an "@" too many/],
    ['an unknown parameter', 'postgres://user:hunter2@localhost/db?sslmod=x', /unknown parameter "sslmod"/],
    [
      'an unknown sslmode',
      'postgres://user:hunter2@localhost/db?sslmode=on',
      /sslmode .* must be one of "disable"/,
    ],
    ['a port that is none', 'postgres://user:hunter2@localhost/db?port=x', /has a port that cannot be read/],
  ])('is rejected with %s, and the error shows none of it', (_what, uri, message) => {
    const error = errorOf(() => new PostgreSQLStorage(uri));
    expect(error).toMatchObject({
      code: 'ERR_RATE_LIMIT_CONFIGURATION',
      message: expect.stringMatching(message),
    });
    expect(String(error)).not.toMatch(/user:h|hunter2|localhost/);
  });
});

describe('opening a PostgreSQLStorage', () => {
  it('by storageFromString needs only a URI', async () => {
    for (const scheme of ['postgres', 'postgresql', 'async+postgresql']) {
      const storage = await storageFromString(`${scheme}://user:hunter2@localhost:1/db`, { timeout: 100 });
      expect(storage).toBeInstanceOf(PostgreSQLStorage);
      expect(String(storage)).toBe('PostgreSQLStorage');
      await storage.close();
    }
  });

  it.each<[PostgreSQLStorageOptions, string]>([
    [{ schema: '' }, 'The schema of a PostgreSQLStorage must be a name of 1 to 63 bytes'],
    [{ schema: 'pg_limits' }, 'The schema of a PostgreSQLStorage must be a name of 1 to 63 bytes'],
    [{ schema: 'a$b' }, 'The schema of a PostgreSQLStorage must be a name of 1 to 63 bytes'],
    [{ schema: 'é'.repeat(32) }, 'The schema of a PostgreSQLStorage must be a name of 1 to 63 bytes'],
    [
      { durable: 1 as never },
      'The option "durable" of a PostgreSQLStorage must be true or false; got the number 1.',
    ],
    [
      { connections: 0 },
      'The option "connections" of a PostgreSQLStorage must be a whole number, at least 1',
    ],
    [{ keyPrefix: 'x'.repeat(201) }, 'must have at most 200 characters; it has 201.'],
    [{ max: 4 } as PostgreSQLStorageOptions, 'A PostgreSQLStorage does not know the option "max".'],
    [{ timeout: 0 }, 'The timeout of PostgreSQLStorage in ms must be a whole number from 1'],
  ])('refuses %j', (options, message) => {
    expect(() => new PostgreSQLStorage('postgres://localhost/db', options)).toThrow(message);
  });

  it('rejects TLS options with a given client, and values that are no client', () => {
    const client = { query: () => Promise.resolve([]) };
    expect(() => new PostgreSQLStorage(client, { ssl: true })).toThrow(
      'A PostgreSQLStorage on a given client does not know the option "ssl".',
    );
    expect(() => new PostgreSQLStorage({} as PostgreSQLClient)).toThrow(
      'A PostgreSQLStorage needs a URI, or a client with a method "query"; got an object (Object).',
    );
  });
});

describe('the arguments of a call', () => {
  const limit = limitOf('fixed-window');

  it('name each key and limit once, with the keys in the order of their bytes, as on the server', () => {
    const batches = ['b', '\u{1f600}', '\uffff', 'a"\\', 'b'].map((identity) => hitsOn([limit], 2, identity));
    expect(writeArguments('consume', batches, (identity) => identity, 0)).toMatchObject({
      keys: '{"a\\"\\\\","b","\uffff","\u{1f600}"}',
      limits: '{0,10,3600000,10,0,0,12,0,0,1,0}',
      hits: '{0,2,1,2,1,4,1,2,2,3,1,2,3,1,1,2,4,2,1,2}',
    });
  });
});

describe('batches of a call that failed', () => {
  const waitingFor = (...identities: string[]): WaitingBatch => ({
    item: identities.flatMap((identity) => hitsOn([limitOf('fixed-window')], 1, identity)),
    since: 0,
    resolve: () => undefined,
    reject: () => undefined,
  });
  const waiting = [['a'], ['b', 'c'], ['a', 'd'], ['e'], ['c']].map((each) => waitingFor(...each));
  const [a, bc, ad, e, c] = waiting;

  it.each([
    ['22P02', [[a], [bc], [ad], [e], [c]]],
    ['54000', [[a], [bc], [ad], [e], [c]]],
    ['55P03', [[a, ad], [bc, c], [e]]],
    ['40P01', [[a, ad], [bc, c], [e]]],
    ['57P01', []],
    ['25006', []],
    ['', []],
  ])('by %s are sent again if nothing can have been counted', (code, parts) => {
    const sent = partsToRetry(waiting, code);
    expect(new Set(sent)).toEqual(new Set(parts));
  });

  it('are not sent again alone, unless there was a deadlock', () => {
    expect(partsToRetry([waitingFor('a')], '22P02')).toEqual([]);
    expect(partsToRetry([waitingFor('a')], '55P03')).toEqual([]);
    expect(partsToRetry([waitingFor('a')], '40P01')).toHaveLength(1);
  });
});

function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('It did not throw.');
}
