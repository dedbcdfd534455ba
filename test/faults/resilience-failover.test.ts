import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisClusterStorage, RedisSentinelStorage } from 'nestjs-limits/redis';
import { startRedisCluster, startRedisSentinel, type ServerGroup } from '../support/servers/redis.js';
import { ask, until } from '../support/servers/server-process.js';
import { LayeredStore } from './support/layered-store.js';

/** Failovers of Redis, behind the circuit breaker, the denial cache and the fallback. */

/** Ms after which a failover counts as hung. It takes two to ten seconds. */
const FAILOVER = 60_000;

let group: ServerGroup;
let layered: LayeredStore;

afterEach(async () => {
  await layered.storage.close();
  await group.stop();
});

/** Returns the port of the server that owns the identity. */
type FindPrimary = () => Promise<number>;

async function expectToSurviveFailover(findPrimary: FindPrimary): Promise<void> {
  await layered.warmUp();
  const before = await findPrimary();
  const primary = new Redis(before);
  await until(async () => (await primary.wait(1, 1000)) === 1, 'the replica to follow');
  primary.disconnect();
  const already = await layered.counted();

  await layered.expectToSurvive(
    {
      harm: () => group.servers.find(({ port }) => port === before)?.kill(),
      // The outage is over once another server has become the primary.
      repair: () =>
        until(async () => (await findPrimary()) !== before, 'another to become the primary', FAILOVER),
    },
    { probes: 0, endsByItself: true, keepsCounts: false }, // the last hits may not have reached the replica
  );
  expect(await layered.counted()).toBeGreaterThan(already);
}

describe('A primary that is killed is replaced by the fallback, and the next primary keeps the counts', () => {
  it('with sentinels', async () => {
    group = await startRedisSentinel();
    layered = new LayeredStore(new RedisSentinelStorage(group.uri));
    const sentinel = group.servers.at(-1)?.port ?? 0;
    await expectToSurviveFailover(async () => {
      const reply = await ask(sentinel, 'SENTINEL GET-MASTER-ADDR-BY-NAME limits\r\n');
      const port = Number(reply.trim().split('\r\n').at(-1));
      if ((await ask(port, 'INFO replication\r\n')).includes('role:master')) return port;
      throw new Error(`${port} is named but not promoted yet.`);
    });
  }, 120_000);

  it('in a cluster', async () => {
    group = await startRedisCluster();
    layered = new LayeredStore(new RedisClusterStorage(group.uri));
    await expectToSurviveFailover(async () => {
      for (const { port } of group.servers) {
        const owner = await ownerAt(port, layered.identity).catch(() => undefined);
        if (owner !== undefined) return owner;
      }
      throw new Error('No server owns the slot.');
    });
  }, 120_000);
});

/**
 * Returns the port of the node that owns an identity's slot, as another node reports it;
 * `undefined` while the slot is not served.
 */
async function ownerAt(port: number, identity: string): Promise<number | undefined> {
  const client = new Redis(port, { retryStrategy: () => null });
  client.on('error', () => undefined); // it may be the one that was killed
  try {
    if (!(await client.cluster('INFO')).includes('cluster_state:ok')) return undefined;
    const slot = await client.cluster('KEYSLOT', `{${identity}}`);
    const slots = await client.cluster('SLOTS');
    const [, , primary] = slots.find(([first, last]) => first <= slot && slot <= last) ?? [];
    const owner = primary?.[1];
    return owner !== undefined && (await ask(owner, 'PING\r\n')).startsWith('+PONG') ? owner : undefined;
  } finally {
    client.disconnect();
  }
}
