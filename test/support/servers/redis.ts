import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ask, freePort, serverDirectory, startServer, until, type Server } from './server-process.js';

const run = promisify(execFile);

export interface StartRedisOptions {
  /** More arguments of `redis-server`. */
  readonly args?: readonly string[];
}

/** Starts a stand-alone Redis server without persistence. */
export async function startRedis({ args = [] }: StartRedisOptions = {}): Promise<Server> {
  const directory = serverDirectory('redis');
  const port = await freePort();
  return startServer({
    name: 'redis-server',
    command: 'redis-server',
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
      ...['--save', '', '--repl-diskless-sync-delay', '0', '--replica-announce-ip', '127.0.0.1'],
      ...args,
    ],
    directory,
    port,
    uri: `redis://127.0.0.1:${port}`,
    ready: async () => (await ask(port, 'PING\r\n')).startsWith('+PONG'),
  });
}

/**
 * Starts a Redis server that listens on a socket file, and on a TLS port with a self-signed
 * certificate.
 */
export async function startRedisWithSocketAndTls(): Promise<{
  server: Server;
  socket: string;
  tlsPort: number;
  /** File of the certificate that a client must trust. */
  ca: string;
}> {
  const directory = serverDirectory('redis-tls');
  const [key, ca, socket] = [join(directory, 'key'), join(directory, 'ca.pem'), join(directory, 'socket')];
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', ca],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
  ]);
  const tlsPort = await freePort();
  const server = await startRedis({
    args: [
      ...['--unixsocket', socket, '--tls-port', String(tlsPort)],
      ...['--tls-cert-file', ca, '--tls-key-file', key, '--tls-ca-cert-file', ca, '--tls-auth-clients', 'no'],
    ],
  });
  return { server, socket, tlsPort, ca };
}

/** Several servers that form one service. */
export interface ServerGroup {
  readonly uri: string;
  readonly servers: readonly Server[];
  /** Stops all of them. */
  stop(): Promise<void>;
}

/** Starts a cluster of three primaries, which come first in `servers`, with a replica each. */
export async function startRedisCluster(): Promise<ServerGroup> {
  const args = [
    ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', '1000'],
    ...['--cluster-announce-ip', '127.0.0.1'],
  ];
  const servers = await startAll(6, () => startRedis({ args }));
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  const group = groupOf(`redis+cluster://${addresses.slice(0, 3).join(',')}`, servers);
  try {
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']);
    await until(
      async () => (await Promise.all(servers.map(isSettled))).every(Boolean),
      'the cluster to settle',
    );
  } catch (error) {
    await group.stop();
    throw error;
  }
  return group;
}

/**
 * Starts a primary, a replica, and three sentinels that fail over within a second or two; `servers`
 * are in that order.
 */
export async function startRedisSentinel(service = 'limits'): Promise<ServerGroup> {
  const primary = await startRedis();
  const servers = [primary];
  const group = groupOf('', servers);
  try {
    const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${primary.port}`] });
    servers.push(replica);
    await until(() => isLinked(replica), 'the replica to have copied its primary');
    const sentinels = await startAll(3, () => startSentinel(service, primary.port));
    servers.push(...sentinels);
    await until(
      async () => (await Promise.all(sentinels.map((each) => knowsAll(each, service)))).every(Boolean),
      'the sentinels to know each other',
    );
    const addresses = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
    return { ...group, uri: `redis+sentinel://${addresses}/${service}` };
  } catch (error) {
    await group.stop();
    throw error;
  }
}

/** Returns the version of the server. */
export async function redisVersion({ port }: Server): Promise<string> {
  return /redis_version:(\S+)/.exec(await ask(port, 'INFO server\r\n'))?.[1] ?? 'unknown';
}

async function startSentinel(service: string, primaryPort: number): Promise<Server> {
  const directory = serverDirectory('sentinel');
  const config = join(directory, 'sentinel.conf');
  const port = await freePort();
  writeFileSync(
    config,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${directory}`,
      `sentinel monitor ${service} 127.0.0.1 ${primaryPort} 2`,
      `sentinel down-after-milliseconds ${service} 1000`,
      `sentinel failover-timeout ${service} 2000`,
      '',
    ].join('\n'),
  );
  return startServer({
    name: 'redis-sentinel',
    command: 'redis-server',
    args: [config, '--sentinel'],
    directory,
    port,
    uri: `redis+sentinel://127.0.0.1:${port}/${service}`,
    ready: async () => (await ask(port, 'PING\r\n')).startsWith('+PONG'),
  });
}

async function isSettled(server: Server): Promise<boolean> {
  const info = await ask(server.port, 'CLUSTER INFO\r\n');
  const replication = await ask(server.port, 'INFO replication\r\n');
  return (
    info.includes('cluster_state:ok') &&
    info.includes('cluster_known_nodes:6') &&
    (replication.includes('role:master')
      ? replication.includes('connected_slaves:1')
      : replication.includes('master_link_status:up'))
  );
}

async function isLinked({ port }: Server): Promise<boolean> {
  return (await ask(port, 'INFO replication\r\n')).includes('master_link_status:up');
}

async function knowsAll({ port }: Server, service: string): Promise<boolean> {
  const reply = await ask(port, `SENTINEL MASTER ${service}\r\n`);
  return reply.includes('num-slaves\r\n$1\r\n1\r\n') && reply.includes('num-other-sentinels\r\n$1\r\n2\r\n');
}

async function startAll(count: number, start: () => Promise<Server>): Promise<Server[]> {
  const starts = await Promise.allSettled(Array.from({ length: count }, start));
  const servers = starts.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = starts.find((each) => each.status === 'rejected');
  if (failed === undefined) return servers;
  await groupOf('', servers).stop();
  throw failed.reason;
}

function groupOf(uri: string, servers: readonly Server[]): ServerGroup {
  return {
    uri,
    servers,
    async stop() {
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}
