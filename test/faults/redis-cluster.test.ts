import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, type BatchResult, type Hit } from 'nestjs-limits';
import { RedisClusterStorage } from 'nestjs-limits/redis';
import { untilServed } from '../support/failures.js';
import { startRedisCluster, type ServerGroup } from '../support/servers/redis.js';
import { until } from '../support/servers/server-process.js';

/** A cluster whose slots move and whose primaries fail. */

/** Ms after which a failover counts as hung. It takes two to ten seconds. */
const FAILOVER = 60_000;

const AMOUNT = 1000;
const limits = (['fixed-window', 'moving-window'] as const).map((strategy) =>
  createLimit({ id: strategy, strategy, amount: AMOUNT, period: 3_600_000 }),
);

let group: ServerGroup;
let storage: RedisClusterStorage;
let clients: Redis[];

beforeAll(async () => {
  group = await startRedisCluster();
  storage = new RedisClusterStorage(group.uri);
  clients = group.servers.map(({ port }) => new Redis(port, { retryStrategy: () => 100 }));
  for (const client of clients) client.on('error', () => undefined); // some servers will be killed
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.disconnect();
  await storage.close();
  await group.stop();
});

function hitsOf(identity: string): Hit[] {
  return limits.map((limit) => ({ identity, limit, cost: 1 }));
}

function hit(identity: string): Promise<BatchResult> {
  return storage.consume(hitsOf(identity));
}

/** Returns the counts of both limits. */
async function counted(identity: string): Promise<number[]> {
  const { outcomes } = await untilServed(() => storage.peek(hitsOf(identity)), FAILOVER);
  return outcomes.map(({ remaining }) => AMOUNT - remaining);
}

/** Returns the node that owns an identity's slot, and another primary. */
async function ownerOf(identity: string): Promise<{ slot: number; owner: Redis; other: Redis }> {
  const slot = await clients[0]?.cluster('KEYSLOT', `{${identity}}`);
  const roles = await Promise.all(
    clients.map(async (client) => {
      const [, role = '', , , , , , ...ranges] =
        ((await client.cluster('NODES')) as string)
          .split('\n')
          .find((line) => line.includes('myself'))
          ?.split(' ')
          .slice(1) ?? [];
      return { client, role, ranges };
    }),
  );
  const primaries = roles.filter(({ role }) => role.includes('master'));
  const owns = ({ ranges }: { ranges: string[] }): boolean =>
    ranges.some((range) => {
      const [first = NaN, last = first] = range.split('-').map(Number);
      return first <= Number(slot) && Number(slot) <= last;
    });
  const owner = primaries.find(owns)?.client;
  const other = primaries.find((primary) => !owns(primary))?.client;
  if (owner === undefined || other === undefined) throw new Error(`No server owns slot ${slot}.`);
  return { slot: Number(slot), owner, other };
}

it('a slot that moves is served at every step, and no hit is counted twice', async () => {
  const identity = 'a mover';
  await hit(identity);
  const { slot, owner, other } = await ownerOf(identity);
  const [ownerId, otherId] = await Promise.all([owner.cluster('MYID'), other.cluster('MYID')]);

  await other.cluster('SETSLOT', slot, 'IMPORTING', ownerId);
  await owner.cluster('SETSLOT', slot, 'MIGRATING', otherId);
  await hit(identity);
  expect(await counted(identity)).toEqual([2, 2]);

  const keys = await owner.cluster('GETKEYSINSLOT', slot, 10);
  expect(keys).toHaveLength(2);
  await owner.call('MIGRATE', '127.0.0.1', String(other.options.port), '', '0', '5000', 'KEYS', ...keys);
  await Promise.all(Array.from({ length: 20 }, () => hit(identity)));
  expect(await counted(identity)).toEqual([22, 22]);

  for (const node of [other, owner]) await node.cluster('SETSLOT', slot, 'NODE', otherId);
  await Promise.all(Array.from({ length: 20 }, () => hit(identity)));
  expect(await counted(identity)).toEqual([42, 42]);
});

it('a cluster passes the check only while each of its primaries can count', async () => {
  expect(await storage.check()).toBe(true);
  const roles = await Promise.all(clients.map((client) => client.role()));
  const primaries = clients.filter((_client, index) => roles[index]?.[0] === 'master');
  expect(primaries).toHaveLength(3);
  for (const primary of primaries) {
    await primary.config('SET', 'maxmemory', '1');
    expect(await storage.check()).toBe(false);
    await primary.config('SET', 'maxmemory', '0');
    expect(await storage.check()).toBe(true);
  }
});

it('a primary that is killed is replaced by its replica', async () => {
  const identity = 'a victim';
  await Promise.all(Array.from({ length: 20 }, () => hit(identity)));
  const { owner } = await ownerOf(identity);
  await until(async () => (await owner.wait(1, 1000)) === 1, 'the replica to follow');
  await group.servers.find(({ port }) => port === owner.options.port)?.kill();
  await untilServed(() => hit(identity), FAILOVER);
  expect(await counted(identity)).toEqual([21, 21]);
  // All other identities are served too.
  await Promise.all(Array.from({ length: 100 }, (_, index) => hit(`user ${index}`)));
}, 120_000);
