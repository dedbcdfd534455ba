import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import { startMemcached } from '../support/servers/memcached.js';
import { ask, until, type Server } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LATE, LayeredStore, type Fault, type OutageOptions } from './support/layered-store.js';

/** Outages of a Memcached server, behind the circuit breaker, the denial cache and the fallback. */

let server: Server;
let proxy: TcpProxy;
let layered: LayeredStore;

beforeAll(async () => {
  server = await startMemcached();
});

afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await TcpProxy.to(server.port);
  layered = new LayeredStore(new MemcachedStorage(`memcached://127.0.0.1:${proxy.port}`));
});

afterEach(async () => {
  await layered.storage.close();
  proxy.close();
});

describe('A Memcached server that', () => {
  it.each<[string, Fault, OutageOptions]>([
    ['is killed', { harm: () => server.kill(), repair: () => server.restart() }, { keepsCounts: false }],
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
  ])(
    '%s is replaced by the fallback, and counts again once it is back',
    async (_what, fault, options) => {
      await layered.expectToSurvive(fault, options);
      await until(() => proxy.openConnections <= 1, 'earlier connections to end');
    },
    60_000,
  );
});

describe('A Memcached server that responds but cannot count', () => {
  it('for lack of memory fails the check', async () => {
    const full = await startMemcached({ args: ['-M', '-m', '2'] });
    const storage = new MemcachedStorage(full.uri);
    try {
      expect(await storage.check()).toBe(true);
      let answer = '';
      for (let number = 0; !answer.includes('out of memory') && number < 100_000; number += 1000) {
        const text = Array.from(
          { length: 1000 },
          (_, index) => `set nestjs-limits:{${number + index}} 0 0 48 noreply\r\n${'x'.repeat(48)}\r\n`,
        ).join('');
        answer = await ask(
          full.port,
          `${text}add nestjs-limits:{last-${number}} 0 0 48\r\n${'x'.repeat(48)}\r\n`,
        );
      }
      expect(answer).toContain('SERVER_ERROR out of memory');
      expect(await storage.check()).toBe(false);
      await ask(full.port, 'flush_all\r\n');
      expect(await storage.check()).toBe(true);
    } finally {
      await storage.close();
      await full.stop();
    }
  });

  it('for lack of compare-and-set fails the check', async () => {
    const without = await startMemcached({ args: ['-C'] });
    const storage = new MemcachedStorage(without.uri);
    expect(await storage.check()).toBe(false);
    await storage.close();
    await without.stop();
  });

  it('is checked without leaving a key', async () => {
    expect(await layered.store.check()).toBe(true);
    expect(await ask(server.port, 'get nestjs-limits#check\r\n')).toBe('END\r\n');
  });
});
