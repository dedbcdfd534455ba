import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLimit, StorageError, storageFromString, type Storage } from 'nestjs-limits';
import { RedisClusterStorage, RedisSentinelStorage } from 'nestjs-limits/redis';
import { startRedis } from '../support/servers/redis.js';
import {
  ask,
  freePort,
  serverDirectory,
  startServer,
  until,
  type Server,
} from '../support/servers/server-process.js';

/** Clusters and sentinels over TLS, with a self-signed certificate for their names. */

const run = promisify(execFile);
const SERVICE = 'encrypted';

let directory: string;
let ca: Buffer;
/** Arguments of a server with a TLS port, and a plain port for the tests. */
let tlsArgs: (port: number) => string[];

beforeAll(async () => {
  directory = serverDirectory('redis-encrypted');
  const [key, certificate] = [join(directory, 'key'), join(directory, 'certificate.pem')];
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], // and no address
  ]);
  ca = readFileSync(certificate);
  tlsArgs = (port) => [
    ...['--tls-port', String(port), '--tls-auth-clients', 'no', '--tls-replication', 'yes'],
    ...['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate],
  ];
});

async function expectToCount(storage: Storage): Promise<void> {
  const limit = createLimit({ id: 'encrypted', strategy: 'fixed-window', amount: 1, period: 60_000 });
  const hit = async (): Promise<boolean> =>
    (await storage.consume([{ identity: 'somebody', limit, cost: 1 }])).allowed;
  expect([await hit(), await hit()]).toEqual([true, false]);
  expect(await storage.check()).toBe(true);
  expect(await storage.reset()).toBe(1);
  await storage.close();
}

describe('a cluster', () => {
  let server: Server;
  let uri: string;

  beforeAll(async () => {
    const port = await freePort();
    server = await startRedis({
      args: [
        ...['--cluster-enabled', 'yes', '--tls-cluster', 'yes', ...tlsArgs(port)],
        ...['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname'],
      ],
    });
    uri = `rediss+cluster://localhost:${port}`;
    await ask(server.port, 'CLUSTER ADDSLOTSRANGE 0 16383\r\n');
    await until(
      async () => (await ask(server.port, 'CLUSTER INFO\r\n')).includes('cluster_state:ok'),
      'the cluster to have its slots',
    );
  });
  afterAll(() => server.stop());

  it('is reached by its name, with the certificate of its authority', async () => {
    await expectToCount(new RedisClusterStorage(uri, { redisOptions: { tls: { ca } } }));
    const opened = await storageFromString(uri, { redisOptions: { tls: { ca } } });
    expect(String(opened)).toBe('RedisClusterStorage');
    await expectToCount(opened);
  });

  it('is not trusted without that certificate', async () => {
    const storage = new RedisClusterStorage(uri);
    await expect(storage.reset()).rejects.toThrow(StorageError);
    await storage.close();
  });
});

describe('sentinels', () => {
  let primary: Server;
  let sentinel: Server;
  let uri: string;

  beforeAll(async () => {
    const [primaryPort, sentinelPort] = [await freePort(), await freePort()];
    primary = await startRedis({ args: tlsArgs(primaryPort) });
    const port = await freePort();
    const config = join(directory, 'sentinel.conf');
    writeFileSync(
      config,
      [
        `port ${port}`,
        `sentinel resolve-hostnames yes`,
        `sentinel announce-hostnames yes`,
        `sentinel monitor ${SERVICE} localhost ${primaryPort} 1`,
        '',
      ].join('\n'),
    );
    sentinel = await startServer({
      name: 'redis-sentinel',
      command: 'redis-server',
      args: [config, '--sentinel', ...tlsArgs(sentinelPort)],
      directory,
      port,
      uri: '',
      ready: async () => (await ask(port, 'PING\r\n')).startsWith('+PONG'),
    });
    uri = `rediss+sentinel://localhost:${sentinelPort}/${SERVICE}`;
  });
  afterAll(async () => {
    await sentinel.stop();
    await primary.stop();
  });

  it('and their server are reached with the certificate of their authority', async () => {
    await expectToCount(new RedisSentinelStorage(uri, { tls: { ca } }));
    const opened = await storageFromString(uri, { tls: { ca } });
    expect(String(opened)).toBe('RedisSentinelStorage');
    await expectToCount(opened);
  });

  it('are not trusted without that certificate', async () => {
    const storage = new RedisSentinelStorage(uri);
    await expect(storage.reset()).rejects.toThrow(/All sentinels are unreachable/);
    await storage.close();
  });

  it('without TLS can report a server with TLS', async () => {
    const plain = `redis+sentinel://localhost:${sentinel.port}/${SERVICE}`;
    await expectToCount(new RedisSentinelStorage(plain, { tls: { ca } }));
  });
});
