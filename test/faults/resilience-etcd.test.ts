import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { EtcdGateway } from '../support/etcd-gateway.js';
import { startEtcd } from '../support/servers/etcd.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** An etcd server that goes away in every way there is, behind the layers that stand before a remote storage. */

/** Every decision is a transaction, for which the server may take long on a busy machine. */
const DEADLINE = 100;

let server: Server;
let gateway: EtcdGateway;
let proxy: TcpProxy;
let layered: LayeredStore;

beforeAll(async () => {
  server = await startEtcd();
  gateway = new EtcdGateway(server);
});

afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await TcpProxy.to(server.port);
  layered = new LayeredStore(new EtcdStorage(`etcd://127.0.0.1:${proxy.port}`), DEADLINE);
});

afterEach(async () => {
  await layered.storage.close();
  proxy.close();
});

/** What a server that is out of room says to everybody until somebody makes some. */
async function setAlarm(action: 'ACTIVATE' | 'DEACTIVATE'): Promise<void> {
  await gateway.call('maintenance/alarm', { action, memberID: await memberId(), alarm: 'NOSPACE' });
}

async function memberId(): Promise<string> {
  return (await gateway.call<{ header: { member_id: string } }>('maintenance/status', {})).header.member_id;
}

describe('An etcd server that', () => {
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
      'swallows what it is asked',
      { harm: () => void (proxy.swallows = 'requests'), mend: () => void (proxy.swallows = 'nothing') },
      { clients: 50 },
    ],
    [
      'vanishes, with all connections',
      { harm: () => void (proxy.blackHole = true), mend: () => void (proxy.blackHole = false) },
      { lasts: 1500 },
    ],
    [
      'answers after 200 ms',
      { harm: () => void (proxy.delay = 200), mend: () => void (proxy.delay = 0) },
      { lasts: 1500 },
    ],
    [
      'is out of room',
      { harm: () => setAlarm('ACTIVATE'), mend: () => setAlarm('DEACTIVATE') },
      { lasts: 1600 },
    ],
  ])(
    '%s holds nobody up, is counted for by this process, and counts again by itself',
    async (_what, fault, options) => {
      await layered.expectToSurvive(fault, options);
      // One per client of the driver's, which has one for transactions and one for leases, and those that were never answered.
      await until(() => proxy.openConnections <= 4, 'the connections of before to end', 3000);
    },
    30_000,
  );
});

describe('An etcd server that answers but cannot count', () => {
  it('for want of room is not well', async () => {
    await until(() => layered.store.check(), 'the storage to connect');
    await setAlarm('ACTIVATE');
    try {
      expect(await layered.store.check()).toBe(false);
    } finally {
      await setAlarm('DEACTIVATE');
    }
    expect(await layered.store.check()).toBe(true);
  });

  it('is asked without changing anything', async () => {
    const revision = async (): Promise<string> =>
      (await gateway.call<{ header: { revision: string } }>('kv/range', { key: 'AA==' })).header.revision;
    const before = await revision();
    expect(await layered.store.check()).toBe(true);
    expect(await revision()).toBe(before);
  });
});
