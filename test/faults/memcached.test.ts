import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLimit, type Hit } from 'nestjs-limits';
import { MemcachedStorage, type MemcachedStorageOptions } from 'nestjs-limits/memcached';
import { runScript } from '../support/child-script.js';
import { failureOf, untilServed } from '../support/failures.js';
import { startMemcached } from '../support/servers/memcached.js';
import { ask, until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const HOUR = 3_600_000;
/** For tests in which a server does not respond. Elsewhere the timeout only bounds a hang. */
const SHORT = { timeout: 500 };
/** Time in ms that a server has to answer one command: 90 % of the timeout of a call. */
const COMMAND_TIMEOUT = 450;

const limit = createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 1e6, period: HOUR });

let server: Server;
let proxy: TcpProxy;
beforeAll(async () => {
  server = await startMemcached();
});
beforeEach(async () => {
  proxy = await TcpProxy.to(server.port);
});
afterAll(() => server.stop());

const opened: MemcachedStorage[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
  proxy.close();
  await ask(server.port, 'flush_all\r\n');
});

describe('a server that is killed', () => {
  it('makes calls reject with a StorageError, and serves again once it is back', async () => {
    const storage = open(server.uri);
    await storage.consume(hits());
    await server.kill();
    for (let times = 0; times < 3; times++) {
      const error = await failureOf(storage.consume(hits()));
      expect(error).toMatchObject({ name: 'StorageError', code: 'ERR_RATE_LIMIT_STORAGE' });
      expect(error).toHaveProperty('message', expect.stringContaining(`127.0.0.1:${server.port}`));
      expect(error).toHaveProperty('cause.message', expect.any(String));
    }
    expect(await storage.check()).toBe(false);
    await server.restart();
    await until(() => storage.check(), 'the storage to find the server again');
    expect(await used(storage)).toBe(0); // a restart loses everything
    await storage.consume(hits());
    expect(await used(storage)).toBe(1);
  });

  it('is named in the error, with the reason', async () => {
    const error = await failureOf(open('memcached://localhost:1').consume(hits()));
    expect(error).toHaveProperty(
      'message',
      expect.stringMatching(/^MemcachedStorage failed: The connection to localhost:1 failed: .*ECONNREFUSED/),
    );
    expect(error).toHaveProperty('cause.cause.code', 'ECONNREFUSED');
  });

  it('fails its own identities only, and no other server takes them over', async () => {
    const other = await startMemcached();
    const storage = open(`memcached://127.0.0.1:${server.port},127.0.0.1:${other.port}`);
    const identities = Array.from({ length: 40 }, (_, index) => `user/${index}`);
    const fails = (): Promise<boolean[]> =>
      Promise.all(identities.map((identity) => storage.consume(hits(identity)).then(...isFailure)));
    expect(await fails()).toEqual(identities.map(() => false));
    await other.kill();
    const failed = await fails();
    expect(failed.filter(Boolean).length).toBeGreaterThan(5);
    expect(failed.filter((each) => !each).length).toBeGreaterThan(5);
    expect(await fails()).toEqual(failed);
    expect(await storage.check()).toBe(false);
    await other.restart();
    await until(() => storage.check(), 'the storage to find the server again');
    const counts = await Promise.all(identities.map((identity) => used(storage, identity)));
    expect(counts).toEqual(failed.map((each) => (each ? 0 : 3)));
    await other.stop();
  });

  it('causes refunds on the other servers for a batch that it failed', async () => {
    const other = await startMemcached();
    const storage = open(`memcached://127.0.0.1:${server.port},127.0.0.1:${other.port}`);
    await other.kill();
    const identities = Array.from({ length: 20 }, (_, index) => `user/${index}`);
    const error = await failureOf(storage.consume(identities.flatMap((identity) => hits(identity))));
    expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    const counts = await Promise.all(
      identities.map((identity) => used(storage, identity).catch(() => 'down')),
    );
    expect(new Set(counts)).toEqual(new Set([0, 'down']));
    await other.stop();
  });
});

describe('a server that is emptied', () => {
  it('counts from zero again, without an error', async () => {
    const storage = open(server.uri);
    const load = hitAllTheTime([storage, open(server.uri)]);
    for (let times = 0; times < 10; times++) {
      const { allowed } = load;
      await until(() => load.allowed > allowed + 5, 'more hits');
      await ask(server.port, 'flush_all\r\n');
    }
    await load.stop();
    expect(load.failed).toBe(0);
    expect(await used(storage)).toBeLessThan(load.allowed);
    await ask(server.port, 'flush_all\r\n');
    await storage.consume(hits());
    expect(await used(storage)).toBe(1);
  });
});

describe('a server that is stopped', () => {
  it('makes calls reject at their timeout, then immediately, and serves again once it continues', async () => {
    const [storage, other] = [open(server.uri, SHORT), open(server.uri, SHORT)];
    const load = hitAllTheTime([storage]);
    await until(() => load.allowed > 20, 'hits');
    process.kill(server.pid, 'SIGSTOP');
    try {
      await until(() => load.failed > 20, 'failures');
      expect(await failureOf(other.consume(hits('another user')))).toHaveProperty(
        'message',
        `MemcachedStorage failed: 127.0.0.1:${server.port} did not answer within ${COMMAND_TIMEOUT} ms.`,
      );
      expect(await failureOf(other.consume(hits('another user')))).toHaveProperty(
        'message',
        expect.stringContaining('is left alone for a moment'),
      );
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await until(() => storage.check(), 'the storage to find the server again');
    const allowed = load.allowed;
    await until(() => load.allowed > allowed, 'more hits');
    await load.stop();
    // A hit in flight may have been counted, at most once.
    const count = await used(open(server.uri));
    expect(count).toBeGreaterThanOrEqual(load.allowed);
    expect(count).toBeLessThanOrEqual(load.allowed + load.failed);
  });

  it('makes every call in the queue of an identity reject', async () => {
    const storage = open(server.uri, SHORT);
    await storage.consume(hits());
    process.kill(server.pid, 'SIGSTOP');
    try {
      const failures = await Promise.all(
        Array.from({ length: 300 }, () => failureOf(storage.consume(hits()))),
      );
      for (const error of failures) expect(error).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await until(() => storage.check(), 'the storage to find the server again');
    // The first of them may have been counted before the signal stopped the server.
    expect([1, 2]).toContain(await used(open(server.uri)));
  });

  it('does not count as late when this process was busy past the timeout', async () => {
    const storage = open(server.uri, SHORT);
    await storage.consume(hits());
    const hit = storage.consume(hits());
    await setImmediate(); // the command has been sent
    block(3 * SHORT.timeout);
    expect((await hit).allowed).toBe(true);
  });
});

describe('a connection that is cut in the middle of an answer', () => {
  // The bytes that answer the two commands of a hit.
  const [found, stored] = [90, 'STORED\r\n'.length];

  it('rejects with a StorageError at every byte, and the next connection serves', async () => {
    const storage = open(proxy);
    let counted = 0;
    await storage.consume(hits());
    counted++;
    for (let bytes = 1; bytes <= found + stored; bytes += 7) {
      proxy.cutsAfter = bytes;
      const error = await failureOf(storage.consume(hits()));
      expect(error).toHaveProperty(
        'message',
        `MemcachedStorage failed: 127.0.0.1:${proxy.port} has closed the connection.`,
      );
      expect(error).toHaveProperty('cause.message', expect.any(String));
      const now = await untilServed(() => used(storage));
      expect([counted, counted + 1]).toContain(now);
      counted = now;
    }
    // One `cas` for each hit whose `gets` was answered. No command is sent twice.
    expect(proxy.requests.match(/^(cas|add) /gm)).toHaveLength(counted);
  });

  it('neither loses nor doubles hits of two storages that keep hitting', async () => {
    const second = await TcpProxy.to(server.port);
    const load = hitAllTheTime([open(proxy), open(second)]);
    for (let times = 0; times < 15; times++) {
      for (const each of [proxy, second]) each.cutsAfter = 1 + Math.floor(Math.random() * 300);
      const { failed } = load;
      await until(() => load.failed > failed, 'a hit to fail');
    }
    proxy.cutsAfter = second.cutsAfter = Infinity;
    await load.stop();
    const storage = open(server.uri);
    const count = await used(storage);
    expect(load.failed).toBeGreaterThan(0);
    expect(count).toBeGreaterThanOrEqual(load.allowed);
    expect(count).toBeLessThanOrEqual(load.allowed + load.failed);
    second.close();
  });
});

describe('a connection that is cut while idle', () => {
  it('is replaced without an error', async () => {
    const storage = open(proxy);
    await storage.consume(hits());
    proxy.cut();
    // The client reads the end of its connection in the next turns of the event loop.
    for (let turns = 0; turns < 20; turns++) await setImmediate();
    expect((await storage.consume(hits())).outcomes[0]?.remaining).toBe(1e6 - 2);
    expect(proxy.connections).toBe(2);
  });
});

describe('replies over bad connections', () => {
  it.each([1, 2, 7])('that arrive in pieces of %d bytes are joined', async (pieceSize) => {
    const storage = open(proxy);
    proxy.pieceSize = pieceSize;
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, index) => storage.consume(hits(`user/${index % 10}`))),
    );
    expect(results.map(({ allowed }) => allowed)).toEqual(results.map(() => true));
    expect(await used(storage, 'user/5')).toBe(3);
    expect(proxy.connections).toBe(1);
  });

  it.each(['requests', 'answers'] as const)(
    'that are lost with the %s make the call reject at its timeout',
    async (direction) => {
      const storage = open(proxy, SHORT);
      await storage.consume(hits());
      proxy.swallows = direction;
      // On a busy machine the timer of the call may fire before that of its command.
      expect(await failureOf(storage.consume(hits()))).toHaveProperty(
        'message',
        expect.stringMatching(`answer within (${COMMAND_TIMEOUT}|${SHORT.timeout}) ms`),
      );
      proxy.swallows = 'nothing';
      expect(await untilServed(() => used(storage))).toBe(1);
      expect(proxy.connections).toBe(2);
    },
  );

  it('that are late are not used for the next command', async () => {
    const storage = open(proxy, SHORT);
    await storage.consume(hits('a'));
    await storage.consume(hits('b', 5));
    proxy.delay = 2 * SHORT.timeout;
    expect(await failureOf(storage.peek(hits('a')))).toHaveProperty('code', 'ERR_RATE_LIMIT_STORAGE');
    proxy.delay = 0;
    await sleep(2 * SHORT.timeout); // the reply has arrived by then
    expect(await untilServed(() => used(storage, 'b'))).toBe(5);
    expect(await used(storage, 'a')).toBe(1);
  });
});

describe('a server that sends no valid reply', () => {
  let nonsense: Nonsense;
  beforeEach(async () => {
    nonsense = await Nonsense.start();
  });
  afterEach(() => nonsense.stop());

  it.each([
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'the unexpected answer "HTTP/1.1 400 Bad Request"'],
    ['ERROR\r\n', 'the unexpected answer "ERROR"'],
    [
      'CLIENT_ERROR bad command line format\r\n',
      'the unexpected answer "CLIENT_ERROR bad command line format"',
    ],
    ['STORED\r\n', 'the unexpected answer "STORED"'],
    ['\r\n', 'the unexpected answer ""'],
    ['\x16\x03\x01\r\n', String.raw`the unexpected answer "\u0016\u0003\u0001"`],
    ['VALUE other 0 2 1\r\n{}\r\nEND\r\n', 'the unexpected answer "VALUE other 0 2 1"'],
    ['VALUE nestjs-limits:{somebody} 0 1 1\r\n{}\r\nEND\r\n', 'a value of another length than announced'],
    ['VALUE nestjs-limits:{somebody}\r\n{}\r\nEND\r\n', 'a malformed VALUE line'],
    [`${'x'.repeat(100)}\r\n`, `the unexpected answer "${'x'.repeat(80)}"`],
  ])('%j causes a StorageError, and the connection is not used again', async (answer, message) => {
    const storage = open(nonsense.port);
    nonsense.answer = answer;
    const error = await failureOf(storage.consume(hits()));
    expect(error).toMatchObject({
      code: 'ERR_RATE_LIMIT_STORAGE',
      message: `MemcachedStorage failed: 127.0.0.1:${nonsense.port} sent ${message}.`,
      cause: { message: expect.any(String) },
    });
    nonsense.answer = 'END\r\n';
    expect(await untilServed(() => used(storage))).toBe(0);
    expect(nonsense.sockets).toHaveLength(2);
    await until(() => nonsense.sockets[0]?.destroyed === true, 'the first connection to end');
  });

  it('causes a StorageError if there are more replies than commands', async () => {
    const storage = open(nonsense.port);
    nonsense.answer = 'END\r\nEND\r\n';
    await used(storage).catch(() => undefined);
    await until(() => nonsense.sockets[0]?.destroyed === true, 'the connection to end');
    nonsense.answer = 'END\r\n';
    expect(await untilServed(() => used(storage))).toBe(0);
  });

  it('causes a StorageError for a line without an end, long before the memory is full', async () => {
    const storage = open(nonsense.port);
    nonsense.endless = true;
    const error = await failureOf(storage.consume(hits()));
    expect(error).toHaveProperty(
      'message',
      `MemcachedStorage failed: 127.0.0.1:${nonsense.port} sent a line without end.`,
    );
  });

  it('is tried once after each pause, and the pause doubles up to one second', async () => {
    let now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    nonsense.answer = 'ERROR\r\n';
    const storage = open(nonsense.port);
    const triesAfter = async (elapsed: number): Promise<number> => {
      now += elapsed;
      for (let times = 0; times < 3; times++) await failureOf(storage.consume(hits()));
      return nonsense.sockets.length;
    };
    let tries = await triesAfter(0);
    expect(tries).toBe(1);
    for (const pause of [50, 100, 200, 400, 800, 1000, 1000]) {
      expect(await triesAfter(pause - 1)).toBe(tries);
      expect(await triesAfter(1)).toBe(++tries);
    }
  });

  it('fails only the command with a SERVER_ERROR', async () => {
    const storage = open(nonsense.port);
    nonsense.answer = 'SERVER_ERROR out of memory\r\n';
    const error = await failureOf(storage.consume(hits()));
    expect(error).toHaveProperty(
      'message',
      `MemcachedStorage failed: 127.0.0.1:${nonsense.port} answered "SERVER_ERROR out of memory".`,
    );
    nonsense.answer = 'END\r\n';
    expect(await used(storage)).toBe(0);
    expect(nonsense.sockets).toHaveLength(1);
  });

  it('that returns a record of another program keeps that record', async () => {
    await ask(server.port, 'set nestjs-limits:{somebody} 0 0 5\r\nhello\r\n');
    const error = await failureOf(open(server.uri).consume(hits()));
    expect(error).toHaveProperty(
      'message',
      'A stored record cannot be read: does another program write under this keyPrefix?',
    );
    expect(await ask(server.port, 'get nestjs-limits:{somebody}\r\n')).toContain('hello');
  });
});

describe('a record that is too large for the server', () => {
  it('makes the call reject, is kept as it was, and other identities are served', async () => {
    const end = Date.now() + HOUR;
    const cell = `{"AAAAAAAA":[${end}${',0'.repeat(2 ** 19 - 60)}]}`;
    await ask(server.port, `set nestjs-limits:{somebody} 0 60 ${cell.length}\r\n${cell}\r\n`);
    const storage = open(proxy);
    const error = await failureOf(storage.consume(hits()));
    expect(error).toHaveProperty(
      'message',
      `MemcachedStorage failed: 127.0.0.1:${proxy.port} answered "SERVER_ERROR object too large for cache".`,
    );
    expect(await ask(server.port, 'mg nestjs-limits:{somebody} s\r\n')).toBe(`HD s${cell.length}\r\n`);
    expect((await storage.consume(hits('another user'))).allowed).toBe(true);
    expect(proxy.connections).toBe(1);
  });
});

describe('a server without compare-and-set', () => {
  it('is rejected with the reason', async () => {
    const without = await startMemcached({ args: ['-C'] });
    const storage = open(without.uri);
    await storage.consume(hits());
    expect(await failureOf(storage.consume(hits()))).toHaveProperty(
      'message',
      `MemcachedStorage failed: 127.0.0.1:${without.port} runs without compare-and-set (its option -C).`,
    );
    await without.stop();
  });
});

describe('identities that are invalid as keys', () => {
  it('are never sent unencoded', async () => {
    const storage = open(proxy);
    const identities = ['a b', 'a\r\nflush_all', 'a\0b', '\x7f', 'é', 'x'.repeat(300)];
    await storage.consume(hits('hint'));
    for (const identity of identities) await storage.consume(hits(identity));
    expect(await Promise.all(identities.map((identity) => used(storage, identity)))).toEqual(
      identities.map(() => 1),
    );
    expect(await used(storage, 'hint')).toBe(1);
    for (const line of proxy.requests.split('\r\n')) {
      expect(line).toMatch(/^((gets|add) [\x21-\x7e]{1,250}( 0 \d+ \d+)?|\{"[\w-]{8}":\[\d+,\d+,\d+\]\}|)$/);
    }
  });
});

describe('user and password', () => {
  let protectedServer: Server;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'memcached-users-'));
    await writeFile(join(directory, 'users'), 'me@here:p@ss/wörd:\n');
    protectedServer = await startReserved(['-Y', join(directory, 'users')]);
  });
  afterAll(async () => {
    await protectedServer.stop();
    await rm(directory, { recursive: true });
  });

  const at = (credentials: string, to = protectedServer): string =>
    `memcached://${credentials}127.0.0.1:${to.port}`;

  it('are decoded from the URI and sent to the server', async () => {
    const storage = open(at('me%40here:p%40ss%2Fw%C3%B6rd%3A@'));
    const results = await Promise.all([1, 2, 3].map(() => storage.consume(hits())));
    expect(results.map(({ outcomes }) => limit.amount - (outcomes[0]?.remaining ?? 0))).toEqual([1, 2, 3]);
    expect(await storage.check()).toBe(true);
  });

  it.each([
    ['wrong', 'me%40here:guessed@'],
    ['missing', ''],
  ])('that are %s cause a StorageError that does not show them', async (_what, credentials) => {
    const storage = open(at(credentials));
    const error = await failureOf(storage.consume(hits()));
    expect(error).toMatchObject({
      code: 'ERR_RATE_LIMIT_STORAGE',
      message: expect.stringMatching(
        /sent the unexpected answer "CLIENT_ERROR (authentication failure|unauthenticated)"/,
      ),
    });
    expect(`${String(error)}${JSON.stringify(error)}${String((error as Error).cause)}`).not.toMatch(
      /guessed/,
    );
    expect(await storage.check()).toBe(false);
  });

  it('are dropped if the server needs none', async () => {
    const storage = open(at('me:secret@', server));
    expect((await storage.consume(hits())).allowed).toBe(true);
    expect(await ask(server.port, 'get auth\r\n')).toBe('END\r\n');
  });
});

describe('TLS', () => {
  let encrypted: Server;
  let directory: string;
  let key: Buffer;
  let certificate: Buffer;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'memcached-tls-'));
    const [keyFile, file] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', keyFile, '-out', file],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
    ]);
    [key, certificate] = [await readFile(keyFile), await readFile(file)];
    encrypted = await startReserved(['-Z', '-o', `ssl_chain_cert=${file},ssl_key=${keyFile}`]);
  });
  afterAll(async () => {
    await encrypted.stop();
    await rm(directory, { recursive: true });
  });

  it.each(['127.0.0.1', 'localhost'])('serves at %s by a certificate that is trusted', async (host) => {
    const storage = open(`memcached://${host}:${encrypted.port}`, {
      tls: { ca: certificate },
    });
    await Promise.all([1, 2, 3].map(() => storage.consume(hits(host))));
    expect(await used(storage, host)).toBe(3);
  });

  it('sends nothing to a server without a trusted certificate', async () => {
    let received = '';
    const untrusted = createTlsServer({ key, cert: certificate }, (socket) => {
      socket.on('error', () => undefined).on('data', (data: Buffer) => (received += data.toString()));
    });
    await once(untrusted.listen(0, '127.0.0.1'), 'listening');
    const { port } = untrusted.address() as AddressInfo;
    const storage = open(`memcached://me:secret@127.0.0.1:${port}`, { tls: true });
    const error = await failureOf(storage.consume(hits()));
    expect(error).toHaveProperty(
      'message',
      `MemcachedStorage failed: The connection to 127.0.0.1:${port} failed: self-signed certificate.`,
    );
    expect(error).toHaveProperty('cause.cause.code', 'DEPTH_ZERO_SELF_SIGNED_CERT');
    untrusted.close();
    await once(untrusted, 'close');
    expect(received).toBe('');

    await once(untrusted.listen(port, '127.0.0.1'), 'listening');
    const trusting = open(`memcached://me:secret@127.0.0.1:${port}`, { tls: { ca: certificate } });
    await failureOf(trusting.consume(hits()));
    expect(received).toBe('set auth 0 -1 9\r\nme secret\r\ngets nestjs-limits:{somebody}\r\n');
    await trusting.close();
    untrusted.close();
  });
});

describe('a storage that is closed', () => {
  it('makes calls in flight reject with a StorageError', async () => {
    const storage = open(proxy);
    await storage.consume(hits());
    proxy.swallows = 'answers';
    const before = proxy.requests.length;
    const inFlight = failureOf(storage.consume(hits()));
    const [waiting, look] = [failureOf(storage.consume(hits())), failureOf(storage.peek(hits()))];
    await until(() => proxy.requests.length > before, 'the commands to be sent');
    await storage.close();
    for (const error of await Promise.all([inFlight, waiting, look])) {
      expect(error).toMatchObject({ name: 'StorageError', message: 'MemcachedStorage is closed.' });
    }
    expect(await storage.check()).toBe(false);
  });

  it.each([
    ['a server', () => server.uri, 'counted'],
    ['no server', () => 'memcached://127.0.0.1:1', 'failed'],
  ])('lets its process exit, without unhandled errors, with %s', async (_name, uri, first) => {
    const script = `
      import { MemcachedStorage } from './lib/storages/memcached/index.ts';
      import { createLimit } from './lib/core/limit.ts';
      const storage = new MemcachedStorage('${uri()}');
      const limit = createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 40, period: ${HOUR} });
      const hit = () => storage.consume([{ identity: 'somebody', limit, cost: 1 }]).then(() => 'counted', () => 'failed');
      process.stdout.write(await hit() + ' ');
      const inFlight = hit();
      await storage.close();
      await inFlight;
      process.stdout.write(await hit());
    `;
    expect(await runScript(script)).toEqual({ code: 0, errors: '', output: `${first} failed` });
  });
});

/** Starts a server that only accepts a password or TLS. */
function startReserved(args: readonly string[]): Promise<Server> {
  const ready = async (address: number | string): Promise<boolean> => {
    const socket = connect(Number(address), '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  };
  return startMemcached({ args, ready });
}

function open(where: string | number | TcpProxy, options: MemcachedStorageOptions = {}): MemcachedStorage {
  const port = typeof where === 'object' ? where.port : where;
  const uri = typeof port === 'string' ? port : `memcached://127.0.0.1:${port}`;
  const storage = new MemcachedStorage(uri, { timeout: 10_000, ...options });
  opened.push(storage);
  return storage;
}

function hits(identity = 'somebody', cost = 1): Hit[] {
  return [{ identity, limit, cost }];
}

/** Returns the counted units of an identity. */
async function used(storage: MemcachedStorage, identity = 'somebody'): Promise<number> {
  const { outcomes } = await storage.peek(hits(identity));
  return limit.amount - (outcomes[0]?.remaining ?? 0);
}

const isFailure = [() => false, () => true] as const;

/** Hits one identity from several storages until it is stopped, and counts the results. */
function hitAllTheTime(storages: readonly MemcachedStorage[]): {
  allowed: number;
  failed: number;
  stop(): Promise<unknown>;
} {
  const load = {
    allowed: 0,
    failed: 0,
    stopped: false,
    stop: () => {
      load.stopped = true;
      return Promise.all(workers);
    },
  };
  const workers = [...storages, ...storages, ...storages].map(async (storage) => {
    while (!load.stopped) {
      if (await storage.consume(hits()).then(...isFailure)) load.failed++;
      else load.allowed++;
      await sleep(1);
    }
  });
  return load;
}

/** Blocks the event loop. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Replies to every command with the same text. */
class Nonsense {
  answer = '';
  endless = false;
  readonly sockets: Socket[] = [];
  readonly #listener: TcpServer = createServer((socket) => {
    this.sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      if (this.endless) this.#pour(socket);
      else socket.write(this.answer, 'latin1');
    });
  });

  static async start(): Promise<Nonsense> {
    const server = new Nonsense();
    await once(server.#listener.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  stop(): void {
    this.#listener.close();
    for (const socket of this.sockets) socket.destroy();
  }

  #pour(socket: Socket): void {
    const drop = Buffer.alloc(2 ** 20, 'x');
    const pour = (): void => {
      while (!socket.destroyed && socket.write(drop));
    };
    socket.on('drain', pour);
    pour();
  }
}
