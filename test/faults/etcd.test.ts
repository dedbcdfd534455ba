import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Etcd3, type ComparatorBuilder } from 'etcd3';
import { createLimit, type Hit } from 'nestjs-limits';
import { EtcdStorage, type EtcdStorageOptions } from 'nestjs-limits/etcd';
import { base64, EtcdGateway } from '../support/etcd-gateway.js';
import { runScript } from '../support/child-script.js';
import { failureOf, untilServed } from '../support/failures.js';
import { startEtcd } from '../support/servers/etcd.js';
import { until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** For tests in which the server does not respond. Elsewhere the timeout only bounds a hang. */
const SHORT = { timeout: 1000 };

const hourly = createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 1_000_000, period: 3_600_000 });

let server: Server;
let gateway: EtcdGateway;
beforeAll(async () => {
  server = await startEtcd();
  gateway = new EtcdGateway(server);
});
afterAll(() => server.stop());

const opened: EtcdStorage[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
  await gateway.clear();
});

describe('a server that is killed', () => {
  it('makes calls reject with a StorageError, and serves again once it is back', async () => {
    const storage = open();
    await storage.consume(hit());
    await server.kill();
    for (let times = 0; times < 3; times++) {
      const error = await failureOf(storage.consume(hit()));
      expect(error).toMatchObject({ name: 'StorageError', code: 'ERR_RATE_LIMIT_STORAGE' });
      expect(error).toHaveProperty('message', expect.stringMatching(/^EtcdStorage failed: .*UNAVAILABLE/));
      expect(error).toHaveProperty('cause.message', expect.any(String));
    }
    expect(await storage.check()).toBe(false);
    await server.restart();
    await until(() => storage.check(), 'the storage to find the server');
    expect(await used()).toBe(1);
    await storage.consume(hit());
    expect(await used()).toBe(2);
  });

  it('loses no counts, and counts nothing twice', async () => {
    const load = hitAllTheTime(open(), ['a', 'b', 'c']);
    await until(() => load.allowed > 50, 'hits to be counted');
    await server.kill();
    await until(() => load.failed > 5, 'hits to fail');
    await server.restart();
    const before = load.allowed;
    await until(() => load.allowed > before + 50, 'hits to be counted again');
    await load.stop();
    const counted = await used('a', 'b', 'c');
    expect(counted).toBeGreaterThanOrEqual(load.allowed);
    expect(counted).toBeLessThanOrEqual(load.allowed + load.failed);
  });
});

describe('a server that is stopped', () => {
  it('makes calls reject with a StorageError, including those in the queue', async () => {
    const storage = open(SHORT);
    await storage.consume(hit());
    process.kill(server.pid, 'SIGSTOP');
    try {
      const identities = [...Array.from({ length: 100 }, () => 'somebody'), 'other', 'another'];
      const failures = identities.map((identity) => failureOf(storage.consume(hit(identity))));
      expect(await storage.check()).toBe(false);
      for (const error of await Promise.all(failures)) {
        expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
      }
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await until(() => storage.check(), 'the storage to find the server');
    // The first of the hundred was sent, and may be counted once the server continues.
    expect([1, 2]).toContain(await used());
    expect((await untilServed(() => storage.consume(hit()))).allowed).toBe(true);
  });
});

describe('a connection', () => {
  let proxy: TcpProxy;
  beforeAll(async () => {
    proxy = await TcpProxy.to(server.port);
  });
  afterAll(() => proxy.close());

  it('that breaks before the reply fails the hit, which was counted and is not sent again', async () => {
    const storage = open({ uri: `etcd://127.0.0.1:${proxy.port}` });
    await storage.consume(hit());
    const { Txn = 0 } = await gateway.calls();
    proxy.swallows = 'answers';
    const failure = failureOf(storage.consume(hit()));
    await until(async () => (await gateway.calls())['Txn'] === Txn + 1, 'the server to count the hit');
    proxy.cut();
    proxy.swallows = 'nothing';
    expect(await failure).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    await until(() => storage.check(), 'the storage to connect again');
    expect(await used()).toBe(2);
    await storage.consume(hit());
    expect(await used()).toBe(3);
  });

  it('without any traffic is replaced after one call', async () => {
    const storage = open({ uri: `etcd://127.0.0.1:${proxy.port}`, ...SHORT });
    await storage.consume(hit());
    const { connections } = proxy;
    proxy.swallows = 'requests';
    expect(await failureOf(storage.consume(hit()))).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    proxy.swallows = 'nothing';
    expect((await storage.consume(hit())).allowed).toBe(true);
    expect(proxy.connections).toBe(connections + 1);
  });
});

describe('of several servers', () => {
  it('one that is down is skipped after one call', async () => {
    const storage = open({ uri: `etcd://127.0.0.1:1,127.0.0.1:${server.port}` });
    let failed = 0;
    for (let times = 0; times < 30; times++) {
      await storage.consume(hit()).catch(() => failed++);
    }
    expect(failed).toBeLessThanOrEqual(1);
    expect(await used()).toBe(30 - failed);
  });

  it('all that are down are used again once they are back', async () => {
    const port = server.port;
    const storage = open({ uri: `etcd://127.0.0.1:${port},localhost:${port}` });
    await storage.consume(hit());
    await server.kill();
    for (let times = 0; times < 5; times++) await failureOf(storage.consume(hit()));
    await server.restart();
    await until(() => storage.check(), 'the storage to find the servers');
    expect(await used()).toBe(1);
  });
});

describe('leases that were revoked', () => {
  it('are lost with their records, and new ones are granted', async () => {
    const storage = open();
    await storage.consume(hit());
    await gateway.revokeAllLeases();
    await Promise.all(['somebody', 'other', 'somebody'].map((identity) => storage.consume(hit(identity))));
    expect(await used()).toBe(2);
    expect(await used('other')).toBe(1);
    expect((await gateway.leases()).map(({ keys }) => keys)).toEqual([
      ['nestjs-limits:{other}', 'nestjs-limits:{somebody}'],
    ]);
  });
});

describe('a storage that loses every race', () => {
  it('throws a ConcurrentUpdateError, and counts nothing', async () => {
    const client = new RacedClient(server.port);
    await expect(new EtcdStorage(client, { timeout: 25_000 }).consume(hit())).rejects.toMatchObject({
      name: 'ConcurrentUpdateError',
      code: 'ERR_RATE_LIMIT_CONCURRENT_UPDATE',
    });
    expect(client.races).toBe(32); // 16 attempts, each with a read before it
    expect(await used()).toBe(0);
    client.close();
  });

  it('stops at the timeout', async () => {
    const client = new RacedClient(server.port);
    const error = await failureOf(new EtcdStorage(client, { timeout: 30 }).consume(hit()));
    expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    expect(await used()).toBe(0);
    client.close();
  });
});

describe('a server with a password', () => {
  let secured: Server;
  beforeAll(async () => {
    secured = await startEtcd();
    const root = new EtcdGateway(secured);
    const ours = { key: base64('nestjs-limits:'), range_end: base64('nestjs-limits;') };
    await root.call('auth/role/add', { name: 'limits' });
    await root.call('auth/role/grant', { name: 'limits', perm: { permType: 'READWRITE', ...ours } });
    await root.call('auth/user/add', { name: 'root', password: 'root' });
    await root.call('auth/user/grant', { user: 'root', role: 'root' });
    await root.call('auth/user/add', { name: 'limiter', password: 'p@ss/wörd:' });
    await root.call('auth/user/grant', { user: 'limiter', role: 'limits' });
    await root.call('auth/enable', {});
  });
  afterAll(() => secured.stop());

  const openAs = (credentials: string): EtcdStorage =>
    open({ uri: `etcd://${credentials}@127.0.0.1:${secured.port}`, timeout: 20_000 });

  it('gets the decoded one, also after a restart, and only needs access to the keys of the prefix', async () => {
    const storage = openAs('limiter:p%40ss%2Fw%C3%B6rd%3A');
    await storage.consume(hit());
    await secured.restart();
    await until(() => storage.check(), 'the storage to find the server');
    await storage.consume(hit());
    const { outcomes } = await storage.peek(hit());
    expect(outcomes[0]?.remaining).toBe(999_998);
    expect(await storage.reset()).toBe(1);
  });

  it('gets a wrong one and causes a StorageError that does not show it', async () => {
    const storage = openAs('limiter:guessed');
    const error = await failureOf(storage.consume(hit()));
    expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    expect(error).toHaveProperty('message', expect.stringContaining('authentication failed'));
    expect(inspect([error, storage], { depth: Infinity, showHidden: true })).not.toContain('guessed');
  });
});

describe('a process', () => {
  it.each(['a server', 'no server'])(
    'exits once its storage on %s is closed, without unhandled errors',
    async (what) => {
      const script = `
        import { EtcdStorage } from './lib/storages/etcd/index.ts';
        import { createLimit } from './lib/core/limit.ts';
        const storage = new EtcdStorage('${what === 'a server' ? server.uri : 'etcd://127.0.0.1:1'}');
        const limit = createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 40, period: 3600000 });
        const hit = () =>
          storage.consume([{ identity: 'somebody', limit, cost: 1 }]).then(() => 'counted', (error) => error.code);
        const before = await hit();
        const inFlight = hit();
        await storage.close();
        await inFlight;
        const after = await hit();
        process.on('exit', () => console.log(JSON.stringify({ before, after })));
      `;
      const { code, output, errors } = await runScript(script);
      expect({ code, errors }).toEqual({ code: 0, errors: '' });
      expect(JSON.parse(output)).toEqual({
        before: what === 'a server' ? 'counted' : 'ERR_RATE_LIMIT_STORAGE',
        after: 'ERR_RATE_LIMIT_STORAGE',
      });
    },
  );
});

function hit(identity = 'somebody'): Hit[] {
  return [{ identity, limit: hourly, cost: 1 }];
}

function open({ uri = server.uri, ...options }: EtcdStorageOptions & { uri?: string } = {}): EtcdStorage {
  const storage = new EtcdStorage(uri, { timeout: 10_000, ...options });
  opened.push(storage);
  return storage;
}

/** Returns the number of counted hits of some identities, read by a new storage. */
async function used(...identities: string[]): Promise<number> {
  const cells = identities.length === 0 ? hit() : identities.flatMap((identity) => hit(identity));
  const { outcomes } = await open({ timeout: 20_000 }).peek(cells);
  return outcomes.reduce((sum, { limit, remaining }) => sum + limit.amount - remaining, 0);
}

/** Hits some identities until it is stopped, and counts the results. */
function hitAllTheTime(
  storage: EtcdStorage,
  identities: readonly string[],
): { allowed: number; failed: number; stop(): Promise<unknown> } {
  const load = { allowed: 0, failed: 0, stopped: false };
  const workers = [...identities, ...identities].map(async (identity) => {
    while (!load.stopped) {
      await storage.consume(hit(identity)).then(
        () => load.allowed++,
        () => load.failed++,
      );
      await sleep(1);
    }
  });
  return Object.assign(load, {
    stop: () => {
      load.stopped = true;
      return Promise.all(workers);
    },
  });
}

/** A client for which another one writes to the record right before each of its transactions. */
class RacedClient extends Etcd3 {
  races = 0;

  constructor(port: number) {
    super({ hosts: `127.0.0.1:${port}` });
  }

  override if(...compared: Parameters<Etcd3['if']>): ComparatorBuilder {
    const transaction = super.if(...compared);
    const commit = transaction.commit.bind(transaction);
    transaction.commit = async () => {
      this.races++;
      await this.put(compared[0]).value('{}');
      return commit();
    };
    return transaction;
  }
}
