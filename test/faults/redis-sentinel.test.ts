import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, type Hit } from 'nestjs-limits';
import { RedisSentinelStorage } from 'nestjs-limits/redis';
import { untilServed } from '../support/failures.js';
import { startRedisSentinel, type ServerGroup } from '../support/servers/redis.js';
import { ask, until } from '../support/servers/server-process.js';

/** Failovers. Calls reject while there is no primary, and the next primary has the counts. */

/** Ms after which a failover counts as hung. It takes two to ten seconds. */
const FAILOVER = 60_000;

const AMOUNT = 1000;
const limit = createLimit({ id: 'faults', strategy: 'moving-window', amount: AMOUNT, period: 3_600_000 });
const hits: Hit[] = [{ identity: 'user', limit, cost: 1 }];

let group: ServerGroup;
let storage: RedisSentinelStorage;

beforeAll(async () => {
  group = await startRedisSentinel();
  storage = new RedisSentinelStorage(group.uri);
});

afterAll(async () => {
  await storage.close();
  await group.stop();
});

async function counted(): Promise<number> {
  const { outcomes } = await untilServed(() => storage.peek(hits), FAILOVER);
  return AMOUNT - (outcomes[0]?.remaining ?? NaN);
}

/** Returns the port of the primary that the first sentinel reports. */
async function primaryPort(): Promise<number> {
  const reply = await ask(group.servers[2]?.port ?? 0, 'SENTINEL GET-MASTER-ADDR-BY-NAME limits\r\n');
  return Number(reply.trim().split('\r\n').at(-1));
}

/** Waits until the replica has caught up with the primary. */
async function untilReplicated(port: number): Promise<void> {
  const primary = new Redis(port);
  await until(async () => (await primary.wait(1, 1000)) === 1, 'the replica to follow');
  primary.disconnect();
}

it('a primary that becomes a replica is replaced by the new primary', async () => {
  await Promise.all(Array.from({ length: 20 }, () => storage.consume(hits)));
  const before = await primaryPort();
  await untilReplicated(before);
  await until(async () => {
    if ((await primaryPort()) !== before) return true;
    // Sentinels reject this during a failover, and may abort one on a busy machine.
    await ask(group.servers[2]?.port ?? 0, 'SENTINEL FAILOVER limits\r\n');
    return false;
  }, 'the sentinels to name another');
  await until(
    async () => (await ask(before, 'INFO replication\r\n')).includes('role:slave'),
    'the primary to become a replica',
  );
  await untilServed(() => storage.consume(hits), FAILOVER);
  expect(await counted()).toBe(21);
}, 120_000);

it('a primary that is killed is replaced', async () => {
  const before = await primaryPort();
  const primary = group.servers.find(({ port }) => port === before);
  const already = await counted();
  await untilReplicated(before);
  await primary?.kill();
  const { allowed } = await untilServed(() => storage.consume(hits), FAILOVER);
  expect(allowed).toBe(true);
  // The sentinel that led the failover knows the new primary first. It tells the others.
  await until(async () => (await primaryPort()) !== before, 'the first sentinel to name another');
  expect(await counted()).toBe(already + 1);
  expect(await storage.check()).toBe(true);
}, 120_000);

it.each([
  ['refuse connections', true],
  ['never answer', false],
])('sentinels that %s make calls reject with a StorageError', async (_what, refuse) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  if (refuse) silent.close();
  const lost = new RedisSentinelStorage(`redis+sentinel://127.0.0.1:${port}/limits`);
  await expect(lost.consume(hits)).rejects.toThrow(
    /^RedisSentinelStorage is not connected: All sentinels are unreachable/,
  );
  expect(await lost.check()).toBe(false);
  await lost.close();
  silent.close();
});
