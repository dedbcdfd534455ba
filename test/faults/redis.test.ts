import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, StorageError, type BatchResult, type Hit } from 'nestjs-limits';
import { RedisClusterStorage, RedisStorage } from 'nestjs-limits/redis';
import { expectStorageErrors, failureOf, untilServed } from '../support/failures.js';
import { startRedis } from '../support/servers/redis.js';
import { ask, until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/**
 * Faults of a Redis server and of its connections: calls reject, no hit is counted twice, and the
 * storage recovers.
 */

const AMOUNT = 1000;
const FAULTS = { id: 'faults', strategy: 'fixed-window', amount: AMOUNT, period: 3_600_000 } as const;
const limit = createLimit(FAULTS);

let server: Server;
let proxy: TcpProxy;
/** Goes through the proxy. */
let storage: RedisStorage;
/** Connects directly, to read the counts. */
let hint: RedisStorage;
let identity: string;
let identities = 0;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server.stop());

beforeEach(async () => {
  identity = `somebody ${identities++}`;
  proxy = await TcpProxy.to(server.port);
  storage = new RedisStorage(`redis://127.0.0.1:${proxy.port}`);
  hint = new RedisStorage(server.uri);
  expect(await storage.check()).toBe(true);
});

afterEach(async () => {
  await Promise.all([storage.close(), hint.close()]);
  proxy.close();
  if (!(await isUp())) await server.restart();
});

function hits(): Hit[] {
  return [{ identity, limit, cost: 1 }];
}

function hit(): Promise<BatchResult> {
  return storage.consume(hits());
}

async function isUp(): Promise<boolean> {
  try {
    return (await ask(server.port, 'PING\r\n')).startsWith('+PONG');
  } catch {
    return false;
  }
}

async function counted(): Promise<number> {
  const { outcomes } = await untilServed(() => hint.peek(hits()));
  return AMOUNT - (outcomes[0]?.remaining ?? NaN);
}

describe('a server that is killed', () => {
  it('makes calls reject until it is back, and then serves again', async () => {
    await hit();
    await server.kill();
    await expectStorageErrors(Array.from({ length: 50 }, () => hit()));
    expect(await storage.check()).toBe(false);
    await server.restart();
    await untilServed(hit);
    expect(await counted()).toBe(1);
    expect(await storage.check()).toBe(true);
  });

  it('makes calls in flight reject', async () => {
    process.kill(server.pid, 'SIGSTOP');
    const calls = Array.from({ length: 50 }, () => hit());
    const failed = expectStorageErrors(calls);
    await server.kill();
    await failed;
    await server.restart();
    await untilServed(hit);
    expect(await counted()).toBe(1);
  });

  it('can be down when the storage is opened', async () => {
    await server.kill();
    const early = new RedisStorage(server.uri);
    try {
      const refused = early.consume(hits());
      await expectStorageErrors(refused);
      await expect(refused).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
      expect(await early.check()).toBe(false);
      await server.restart();
      await untilServed(() => early.consume(hits()));
      expect(await counted()).toBe(1);
    } finally {
      await early.close();
    }
  });
});

describe('a connection that is cut', () => {
  it('before a reply makes calls fail that were counted, once', async () => {
    await hit();
    proxy.swallows = 'answers';
    const failed = expectStorageErrors(Array.from({ length: 50 }, () => hit()));
    while ((await counted()) < 51);
    proxy.swallows = 'nothing';
    proxy.cut();
    await failed;
    await untilServed(() => storage.peek(hits()));
    expect(await counted()).toBe(51);
  });

  it('within a reply makes the call fail that was counted, once', async () => {
    await hit();
    proxy.cutsAfter = 2;
    await expectStorageErrors(hit());
    await untilServed(() => storage.peek(hits()));
    expect(await counted()).toBe(2);
  });

  it('before the server has read a call makes it fail, and the call is not sent again', async () => {
    await hit();
    proxy.swallows = 'requests';
    const failed = expectStorageErrors(hit());
    setImmediate(() => setImmediate(() => proxy.cut()));
    await failed;
    proxy.swallows = 'nothing';
    await untilServed(() => storage.peek(hits()));
    expect(await counted()).toBe(1);
  });

  it('between calls is replaced', async () => {
    await hit();
    proxy.cut();
    await untilServed(hit);
    expect(await counted()).toBe(2);
  });
});

describe('a server that does not respond', () => {
  it('makes calls reject at their timeout, and counts each at most once when it continues', async () => {
    await hit();
    process.kill(server.pid, 'SIGSTOP');
    try {
      await expectStorageErrors(Array.from({ length: 10 }, () => hit()));
      await expectStorageErrors(hit());
      expect(await storage.check()).toBe(false);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await untilServed(() => storage.peek(hits()));
    // The server now reads the commands that were sent while it was stopped.
    expect(await counted()).toBeLessThanOrEqual(12);
    const before = await counted();
    await hit();
    expect(await counted()).toBe(before + 1);
  });
});

describe('a server that does not respond to a new connection', () => {
  it('makes calls reject, and the connection is given up and opened again', async () => {
    await hit();
    proxy.swallows = 'answers';
    const sent = proxy.requests.length;
    proxy.cut();
    await until(() => /hello|info/.test(proxy.requests.slice(sent)), 'the driver to greet the server');
    await expectStorageErrors(hit());
    proxy.swallows = 'nothing';
    await untilServed(() => storage.peek(hits()));
    expect(await counted()).toBe(1);
  });
});

describe('the timeout of commands', () => {
  it('takes one timer for all that are in flight, and none per command', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await hit(); // starts the timer
    const before = timers();
    const commands = Array.from({ length: 20 }, (_, index) => {
      const other = createLimit({ ...FAULTS, id: `faults ${index}` });
      return storage.consume([{ identity, limit: other, cost: 1 }]);
    });
    await nextTurn(); // they are sent
    expect(timers()).toBe(before);
    await Promise.all(commands);
  });

  it('is that of the options, for a command that is not answered', async () => {
    const impatient = new RedisStorage(`redis://127.0.0.1:${proxy.port}`, { timeout: 300 });
    await impatient.peek(hits());
    proxy.swallows = 'answers';
    const error = await failureOf(impatient.consume(hits()));
    expect(error).toMatchObject({ message: 'RedisStorage failed: no answer within 300 ms' });
    await impatient.close();
  });
});

describe('a server that rejects', () => {
  let admin: Redis;

  beforeEach(() => {
    admin = new Redis(server.uri);
  });
  afterEach(() => admin.disconnect());

  it('a missing script gets that script again', async () => {
    await hit();
    await admin.script('FLUSH');
    const results = await Promise.all(Array.from({ length: 200 }, () => hit()));
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(200);
    expect(await counted()).toBe(201);
  });

  it('writes for lack of memory makes calls fail and counts nothing', async () => {
    await hit();
    await admin.config('SET', 'maxmemory', '1');
    try {
      await expectStorageErrors(hit());
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
    await hit();
    expect(await counted()).toBe(2);
  });

  it('a key of another type makes the call for it fail, but not those sent with it', async () => {
    await admin.set(`${storage.keyPrefix}:{of another kind}`, 'a text', 'EX', 60);
    const other = storage.consume([{ identity: 'of another kind', limit, cost: 1 }]);
    const [mine] = await Promise.all([hit(), expectStorageErrors(other)]);
    expect(mine.allowed).toBe(true);
    expect(await counted()).toBe(1);
  });
});

describe('a lost connection', () => {
  it('is reported with its reason, before an attempt to reconnect fails and after it', async () => {
    proxy.close();
    const messages = new Set<string>();
    await until(async () => {
      const error = await failureOf(hit());
      expect(error).toBeInstanceOf(StorageError);
      expect((error as StorageError).cause).toHaveProperty('message', expect.any(String));
      messages.add((error as StorageError).message);
      return [...messages].some((message) => message.includes('ECONNREFUSED'));
    }, 'an attempt to reconnect');
    for (const message of messages)
      expect(message).toMatch(
        /^RedisStorage (failed: (Connection is closed|Reached the max retries)|is not connected: (the connection was closed|.*ECONNRE(FUSED|SET).*))/,
      );
  });
});

describe('a server with a password', () => {
  beforeAll(async () => {
    await ask(server.port, 'ACL SETUSER limits on >p@ss:w/rd allkeys +@all\r\n');
  });

  const uriWith = (password: string): string =>
    server.uri.replace('//', `//limits:${encodeURIComponent(password)}@`);

  it('gets the decoded one', async () => {
    const permitted = new RedisStorage(uriWith('p@ss:w/rd'));
    expect((await permitted.consume(hits())).allowed).toBe(true);
    await permitted.close();
  });

  it.each([
    ['RedisStorage', (uri: string) => new RedisStorage(uri)],
    ['RedisClusterStorage', (uri: string) => new RedisClusterStorage(uri.replace('redis', 'redis+cluster'))],
  ])('gets a wrong one and causes a StorageError of %s that does not show it', async (name, open) => {
    const refused = open(uriWith('hunter2'));
    const error: unknown = await refused.consume(hits()).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StorageError);
    expect(String(error)).toContain(`${name} is not connected: `);
    const shown = inspect([error, String(refused)], { depth: 10, showHidden: true });
    expect(shown).toContain('WRONGPASS');
    expect(shown).not.toContain('hunter2');
    await refused.close();
  });
});
