import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { failureOf } from '../support/failures.js';
import { hitsOn, limitOf, OpenedStorages } from '../support/postgresql.js';
import { startPostgresWithSocketAndTls } from '../support/servers/postgres.js';
import type { Server } from '../support/servers/server-process.js';

/** A server with a self-signed certificate. */

describe('PostgreSQL over TLS', () => {
  const storages = new OpenedStorages();
  let server: Server;
  let certificate: string;
  let socket: string;

  beforeAll(async () => {
    ({ server, socket, ca: certificate } = await startPostgresWithSocketAndTls());
  });
  afterEach(() => storages.close());
  afterAll(() => server.stop());

  function open(query: string, options = {}): PostgreSQLStorage {
    return storages.open(`postgres://postgres@localhost:${server.port}/postgres?${query}`, options);
  }

  it.each(['prefer', 'require', 'verify-ca', 'verify-full'])(
    'is refused with sslmode=%s where the certificate is not known',
    async (mode) => {
      expect(await failureOf(open(`sslmode=${mode}`).consume(hits()))).toHaveProperty(
        'message',
        expect.stringContaining('self-signed certificate'),
      );
    },
  );

  it.each([
    ['sslmode=require and the option ssl', 'sslmode=require', true],
    ['sslmode=verify-full and the option ssl', 'sslmode=verify-full', true],
    ['the option ssl alone', '', true],
    ['sslmode=no-verify', 'sslmode=no-verify', false],
  ])('is counted on with %s', async (_what, query, isGiven) => {
    const storage = open(query, isGiven ? { ssl: { ca: readFileSync(certificate) } } : {});
    expect((await storage.consume(hits())).allowed).toBe(true);
  });

  it('is counted on with the certificate that the URI names, under another name with verify-ca only', async () => {
    const named = `sslrootcert=${encodeURIComponent(certificate)}`;
    expect((await open(`sslmode=verify-full&${named}`).consume(hits())).allowed).toBe(true);
    const address = `postgres://postgres@127.0.0.1:${server.port}/postgres`;
    expect((await storages.open(`${address}?sslmode=verify-ca&${named}`).consume(hits())).allowed).toBe(true);
    expect(
      await failureOf(storages.open(`${address}?sslmode=verify-full&${named}`).consume(hits())),
    ).toHaveProperty('message', expect.stringContaining("IP: 127.0.0.1 is not in the cert's list"));
  });

  it('needs none over a socket file', async () => {
    const uri = `postgres://postgres@${encodeURIComponent(socket)}:${server.port}/postgres`;
    expect((await storages.open(uri).consume(hits())).allowed).toBe(true);
  });
});

function hits(): ReturnType<typeof hitsOn> {
  return hitsOn([limitOf('fixed-window', { amount: 1000 })]);
}
