import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { queryPostgres, signalPostgres, startPostgres } from '../support/servers/postgres.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LATE, LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** Outages of a PostgreSQL server, behind the circuit breaker, the denial cache and the fallback. */

let server: Server;
let proxy: TcpProxy;
let layered: LayeredStore;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await TcpProxy.to(server.port);
  layered = new LayeredStore(new PostgreSQLStorage(server.uri.replace(/:\d+\//, `:${proxy.port}/`)));
});

afterEach(async () => {
  await layered.storage.close();
  await until(() => proxy.openConnections === 0, 'a closed storage to have no connections');
  proxy.close();
});

describe('a PostgreSQL server that', () => {
  it.each<[string, Fault, OutageOptions]>([
    [
      'is killed',
      { harm: () => server.kill(), repair: () => server.restart() },
      { keepsCounts: false }, // its tables are not logged
    ],
    [
      'stands still',
      {
        harm: () => signalPostgres(server, 'SIGSTOP'),
        repair: () => signalPostgres(server, 'SIGCONT'),
      },
      {},
    ],
    [
      'sends no answer',
      { harm: () => void (proxy.swallows = 'answers'), repair: () => void (proxy.swallows = 'nothing') },
      {},
    ],
    [
      'disappears with all its connections',
      { harm: () => void (proxy.blackHole = true), repair: () => void (proxy.blackHole = false) },
      {},
    ],
    [
      'answers later than the deadline',
      { harm: () => void (proxy.delay = LATE), repair: () => void (proxy.delay = 0) },
      {},
    ],
  ])(
    '%s is replaced by the fallback, and counts again once it is back',
    async (_what, fault, options) => {
      await layered.expectToSurvive(fault, { clients: 5, ...options });
    },
    60_000,
  );

  it('is checked keeps no row', async () => {
    expect(await layered.store.check()).toBe(true);
    await queryPostgres(server.uri, 'DELETE FROM nestjs_limits.rate_limits');
    expect(await layered.store.check()).toBe(true);
    expect(await queryPostgres(server.uri, 'SELECT * FROM nestjs_limits.rate_limits')).toEqual([]);
  });
});
