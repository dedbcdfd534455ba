import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { runScript } from '../support/child-script.js';

/**
 * Storages that are closed while they connect must not keep their process alive until a timeout.
 */

/** Longer than a process may take to end, so that one that waits for the timeout counts as hung. */
const TIMEOUT_MS = 120_000;

let server: Server;
let port: number;
const sockets = new Set<Socket>();

beforeEach(async () => {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
});

const storages = [
  ['RedisStorage', 'redis', 'redis://', ''],
  ['RedisClusterStorage', 'redis', 'redis+cluster://', ''],
  ['RedisSentinelStorage', 'redis', 'redis+sentinel://', '/limits'],
  ['MemcachedStorage', 'memcached', 'memcached://', ''],
  // The driver keeps the socket of its monitor until its connectTimeoutMS.
  ['MongoDBStorage', 'mongodb', 'mongodb://', '/?connectTimeoutMS=2000'],
  // The driver waits one second for a connection that it closes.
  ['EtcdStorage', 'etcd', 'etcd://', ''],
  ['PostgreSQLStorage', 'postgresql', 'postgres://', '/app'],
] as const;

it.each(storages)(
  'a process exits once its %s is closed while the server does not respond',
  async (name, entry, scheme, path) => {
    expect(await runScript(closing(name, entry, `${scheme}127.0.0.1:${port}${path}`))).toEqual({
      code: 0,
      output: 'rejected with ERR_RATE_LIMIT_STORAGE',
      errors: '',
    });
    expect(sockets.size).toBeGreaterThan(0);
  },
  60_000,
);

it.each(storages)(
  'a process exits once its %s is closed while the server refuses connections',
  async (name, entry, scheme, path) => {
    server.close();
    expect(await runScript(closing(name, entry, `${scheme}127.0.0.1:${port}${path}`))).toEqual({
      code: 0,
      output: 'rejected with ERR_RATE_LIMIT_STORAGE',
      errors: '',
    });
  },
  60_000,
);

/**
 * Returns a script that closes a storage while its first call is in flight, and prints how the call
 * ended.
 */
function closing(name: string, entry: string, uri: string): string {
  return `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { createLimit } from './lib/core/limit.ts';
    import { ${name} } from './lib/storages/${entry}/index.ts';
    const storage = new ${name}('${uri}', { timeout: ${TIMEOUT_MS} });
    const limit = createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 40, period: 3600000 });
    const call = storage.consume([{ identity: 'user', limit, cost: 1 }]).then(
      () => 'counted',
      (error) => 'rejected with ' + error.code,
    );
    await sleep(200);
    await storage.close();
    process.stdout.write(await call);
  `;
}
