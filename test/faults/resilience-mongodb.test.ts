import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { describeWithMongod } from '../support/servers.js';
import { startMongo, withMongo } from '../support/servers/mongo.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LATE, LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** Outages of a MongoDB server, behind the circuit breaker, the denial cache and the fallback. */

describeWithMongod('MongoDB', () => {
  let server: Server;
  let proxy: TcpProxy;
  let layered: LayeredStore;

  beforeAll(async () => {
    server = await startMongo({ replica: true });
  }, 60_000);

  afterAll(() => server.stop());

  beforeEach(async () => {
    proxy = await TcpProxy.to(server.port);
    const uri = `mongodb://127.0.0.1:${proxy.port}/test?directConnection=true`;
    layered = new LayeredStore(new MongoDBStorage(uri));
  });

  afterEach(async () => {
    await layered.storage.close();
    await until(() => proxy.openConnections === 0, 'a closed storage to have no connections');
    proxy.close();
  });

  /** Makes the server step down and stay secondary, or become primary again. */
  async function setPrimary(primary: boolean): Promise<void> {
    await withMongo(`mongodb://127.0.0.1:${server.port}/?directConnection=true`, async (client) => {
      const admin = client.db('admin');
      if (primary) await admin.command({ replSetFreeze: 0 });
      else await admin.command({ replSetStepDown: 600, force: true });
      await until(
        async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === primary,
        'the server to change its role',
      );
    });
  }

  describe('that', () => {
    it.each<[string, Fault, OutageOptions]>([
      ['is killed', { harm: () => server.kill(), repair: () => server.restart() }, {}],
      [
        'is stopped',
        {
          harm: () => void process.kill(server.pid, 'SIGSTOP'),
          repair: () => void process.kill(server.pid, 'SIGCONT'),
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
      [
        'is no longer the primary',
        { harm: () => setPrimary(false), repair: () => setPrimary(true) },
        { probes: 3 },
      ],
    ])(
      '%s is replaced by the fallback, and counts again once it is back',
      async (_what, fault, options) => {
        await layered.expectToSurvive(fault, { clients: 5, ...options });
      },
      60_000,
    );
  });

  it('that is checked keeps no document', async () => {
    await until(() => layered.store.check(), 'the storage to connect');
    await withMongo(server.uri, async (client) => {
      const documents = client.db().collection('rate_limits');
      await documents.deleteMany({});
      expect(await layered.store.check()).toBe(true);
      expect(await documents.countDocuments()).toBe(0);
    });
  });
});
