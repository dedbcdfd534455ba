import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { EtcdGateway } from '../support/etcd-gateway.js';
import { startEtcd } from '../support/servers/etcd.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LATE, LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** Outages of an etcd server, behind the circuit breaker, the denial cache and the fallback. */

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
  layered = new LayeredStore(new EtcdStorage(`etcd://127.0.0.1:${proxy.port}`));
});

afterEach(async () => {
  await layered.storage.close();
  proxy.close();
});

/** Sets the alarm that makes the server refuse writes because it is out of space. */
async function setAlarm(action: 'ACTIVATE' | 'DEACTIVATE'): Promise<void> {
  await gateway.call('maintenance/alarm', { action, memberID: await memberId(), alarm: 'NOSPACE' });
}

async function memberId(): Promise<string> {
  return (await gateway.call<{ header: { member_id: string } }>('maintenance/status', {})).header.member_id;
}

describe('An etcd server that', () => {
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
      'receives no request',
      { harm: () => void (proxy.swallows = 'requests'), repair: () => void (proxy.swallows = 'nothing') },
      { clients: 50 },
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
      'has no space left',
      { harm: () => setAlarm('ACTIVATE'), repair: () => setAlarm('DEACTIVATE') },
      { probes: 3 },
    ],
  ])(
    '%s is replaced by the fallback, and counts again once it is back',
    async (_what, fault, options) => {
      await layered.expectToSurvive(fault, options);
      // The driver keeps one connection for transactions and one for leases, and one more of each
      // that got no reply.
      await until(() => proxy.openConnections <= 4, 'earlier connections to end');
    },
    60_000,
  );
});

describe('An etcd server that answers but cannot count', () => {
  it('for lack of space fails the check', async () => {
    await until(() => layered.store.check(), 'the storage to connect');
    await setAlarm('ACTIVATE');
    try {
      expect(await layered.store.check()).toBe(false);
    } finally {
      await setAlarm('DEACTIVATE');
    }
    expect(await layered.store.check()).toBe(true);
  });

  it('is checked without a change of its data', async () => {
    const revision = async (): Promise<string> =>
      (await gateway.call<{ header: { revision: string } }>('kv/range', { key: 'AA==' })).header.revision;
    const before = await revision();
    expect(await layered.store.check()).toBe(true);
    expect(await revision()).toBe(before);
  });
});
