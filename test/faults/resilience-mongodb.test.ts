import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { describeWithMongod } from '../support/servers.js';
import { startMongo, withMongo } from '../support/servers/mongo.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** A MongoDB server that goes away in every way there is, behind the layers that stand before a remote storage. */

/** Every decision is an update that a majority has written, for which the server may take long on a busy machine. */
const DEADLINE = 250;

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
    layered = new LayeredStore(new MongoDBStorage(uri), DEADLINE);
  });

  afterEach(async () => {
    await layered.storage.close();
    await until(() => proxy.openConnections === 0, 'a closed storage to have no connections', 3000);
    proxy.close();
  });

  /** Has the server step down, and not stand for election again until it is told to. */
  async function setPrimary(primary: boolean): Promise<void> {
    await withMongo(`mongodb://127.0.0.1:${server.port}/?directConnection=true`, async (client) => {
      const admin = client.db('admin');
      if (primary) await admin.command({ replSetFreeze: 0 });
      else await admin.command({ replSetStepDown: 600, force: true });
      await until(
        async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === primary,
        'the server to change its mind',
      );
    });
  }

  describe('that', () => {
    it.each<[string, Fault, OutageOptions]>([
      ['is killed', { harm: () => server.kill(), mend: () => server.restart() }, {}],
      [
        'stands still',
        {
          harm: () => void process.kill(server.pid, 'SIGSTOP'),
          mend: () => void process.kill(server.pid, 'SIGCONT'),
        },
        {},
      ],
      [
        'swallows its answers',
        { harm: () => void (proxy.swallows = 'answers'), mend: () => void (proxy.swallows = 'nothing') },
        {},
      ],
      [
        'vanishes, with all connections',
        { harm: () => void (proxy.blackHole = true), mend: () => void (proxy.blackHole = false) },
        { lasts: 1500 },
      ],
      [
        'answers after 400 ms',
        { harm: () => void (proxy.delay = 400), mend: () => void (proxy.delay = 0) },
        { lasts: 1500 },
      ],
      [
        'is no primary any more',
        { harm: () => setPrimary(false), mend: () => setPrimary(true) },
        { lasts: 1600 },
      ],
    ])(
      '%s holds nobody up, is counted for by this process, and counts again by itself',
      async (_what, fault, options) => {
        await layered.expectToSurvive(fault, { clients: 5, ...options });
      },
      30_000,
    );
  });

  it('that is asked whether it can count keeps nothing of it', async () => {
    await until(() => layered.store.check(), 'the storage to connect');
    await withMongo(server.uri, async (client) => {
      const documents = client.db().collection('rate_limits');
      await documents.deleteMany({});
      expect(await layered.store.check()).toBe(true);
      expect(await documents.countDocuments()).toBe(0);
    });
  });
});
