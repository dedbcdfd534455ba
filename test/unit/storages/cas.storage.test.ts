import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  type CreateLimitOptions,
  type Hit,
  type Limit,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

let clock: ManualClock;
let server: MapCasServer;
let storage: MapCasStorage;
beforeEach(() => {
  clock = new ManualClock();
  server = new MapCasServer();
  storage = open();
});

describe('concurrent calls of one process', () => {
  it('on one identity are combined into few compare-and-sets', async () => {
    const results = await atOnce(100, () => storage.consume(hits([hourly()])));
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(40);
    // The first runs alone, then 64 of those that arrived during its run, and then the rest, which
    // are all refused.
    expect(server.count('read')).toBe(3);
    expect(server.count('compareAndSet')).toBe(2);
  });

  it('are decided in the order in which they arrived', async () => {
    const results = await atOnce(5, () => storage.consume(hits([hourly({ amount: 3 })])));
    expect(results.map(({ outcomes }) => [outcomes[0]?.allowed, outcomes[0]?.remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
      [false, 0],
    ]);
  });

  it('on several identities run in parallel', async () => {
    await Promise.all(['a', 'b', 'c'].map((identity) => storage.consume(hits([hourly()], identity))));
    expect(server.calls.slice(0, 3).map(({ method }) => method)).toEqual(['read', 'read', 'read']);
    expect(server.count('compareAndSet')).toBe(3);
  });

  it('of every kind on one identity never race each other', async () => {
    const first = await storage.consume(hits([hourly()]));
    await Promise.all([
      storage.consume(hits([hourly()])),
      storage.settle(withdrawn(receiptsOf(first))),
      storage.consume(hits([hourly()])),
      storage.remove(hits([hourly({ id: 'other' })])),
    ]);
    expect(server.calls.filter(({ won }) => won === false)).toEqual([]);
    expect(await left(hourly())).toBe(38);
  });
});

describe('two processes', () => {
  it('never admit more than the limit together', async () => {
    const other = open();
    const results = await atOnce(100, (index) => (index % 2 ? storage : other).consume(hits([hourly()])));
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(40);
    expect(server.calls.filter(({ won }) => won === false).length).toBeGreaterThan(0);
    expect(await left(hourly())).toBe(0);
  });

  it('use the counts of each other', async () => {
    await storage.consume(hits([hourly()]));
    expect((await open().consume(hits([hourly()]))).outcomes[0]?.remaining).toBe(38);
  });

  it("decide again after a lost race, with the other's record", async () => {
    const other = open();
    const limit = hourly({ amount: 1 });
    const [ours, theirs] = await Promise.all([storage.consume(hits([limit])), other.consume(hits([limit]))]);
    expect([ours.allowed, theirs.allowed].sort()).toEqual([false, true]);
  });

  it('share limits over several identities without exceeding one of them', async () => {
    const other = open();
    const batch = [...hits([hourly()], 'a'), ...hits([hourly()], 'b')];
    const results = await atOnce(60, (index) => (index % 2 ? storage : other).consume(batch));
    const allowed = results.filter((result) => result.allowed).length;
    expect(allowed).toBeLessThanOrEqual(40);
    expect([await left(hourly(), 'a'), await left(hourly(), 'b')]).toEqual([40 - allowed, 40 - allowed]);
  });
});

describe('lost races', () => {
  it('end in a ConcurrentUpdateError after 16 in a row, and nothing is counted', async () => {
    const losing = new LosingStorage(server, { clock });
    await expect(losing.consume(hits([hourly()]))).rejects.toMatchObject({
      name: 'ConcurrentUpdateError',
      code: 'ERR_RATE_LIMIT_CONCURRENT_UPDATE',
      message:
        'LosingStorage lost 16 races in a row for one identity and counted nothing. Many processes hit it at once: ' +
        'use a storage that decides in one atomic step, such as Redis.',
    });
    expect(server.count('read')).toBe(16);
    expect(losing.lost).toBe(16);
    expect(server.entries.size).toBe(0);
  });

  it('fail every combined call, and no later one', async () => {
    const losing = new LosingStorage(server, { clock });
    const settled = await Promise.allSettled(
      Array.from({ length: 3 }, () => losing.consume(hits([hourly()]))),
    );
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    losing.losing = false;
    expect((await losing.consume(hits([hourly()]))).outcomes[0]?.remaining).toBe(39);
  });
});

describe('a store that fails', () => {
  it.each(['read', 'compareAndSet'] as const)(
    'causes a StorageError when %s throws, and is not called again',
    async (method) => {
      const cause = new Error('connection lost');
      server.interfere = (called) => {
        if (called === method) throw cause;
      };
      const failure = storage.consume(hits([hourly()]));
      await expect(failure).rejects.toMatchObject(storageError('MapCasStorage failed: connection lost'));
      await expect(failure).rejects.toHaveProperty('cause', cause);
      expect(server.count(method)).toBe(1);
    },
  );

  it('causes a StorageError also in peek and reset', async () => {
    server.interfere = () => {
      throw new Error('down');
    };
    await expect(storage.peek(hits([hourly()]))).rejects.toMatchObject(
      storageError('MapCasStorage failed: down'),
    );
    server.removeAll = () => {
      throw new Error('cannot list keys');
    };
    await expect(storage.reset()).rejects.toMatchObject(
      storageError('MapCasStorage failed: cannot list keys'),
    );
  });

  it('can throw errors of this library, which are passed on', async () => {
    const error = new ConfigurationError('This store cannot list keys.');
    server.removeAll = () => {
      throw error;
    };
    await expect(storage.reset()).rejects.toBe(error);
  });

  it('does not affect later calls', async () => {
    let calls = 0;
    server.interfere = () => {
      if (++calls === 1) throw new Error('once');
    };
    const settled = await Promise.allSettled(
      Array.from({ length: 3 }, () => storage.consume(hits([hourly()]))),
    );
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(await left(hourly())).toBe(38);
  });

  it("for one identity causes a refund of a batch's hit on another", async () => {
    server.interfere = (_method, key) => {
      if (key.endsWith('{b}')) throw new Error('b is down');
    };
    const batch = [...hits([hourly()], 'a'), ...hits([hourly()], 'b')];
    await expect(storage.consume(batch)).rejects.toMatchObject(
      storageError('MapCasStorage failed: b is down'),
    );
    expect(await left(hourly(), 'a')).toBe(40);
  });

  it.each([
    'no JSON',
    '"text"',
    '5',
    'null',
    '{"abc":5}',
    '{"abc":[]}',
    '{"abc":["x"]}',
    '{"abc":[1e999]}',
    '[1,2]',
  ])('with the text %s causes a StorageError with the reason', async (text) => {
    server.entries.set('nestjs-limits:{somebody}', { text, version: 1, end: Infinity });
    const message = 'A stored record cannot be read: does another program write under this keyPrefix?';
    await expect(storage.consume(hits([hourly()]))).rejects.toMatchObject(storageError(message));
    await expect(storage.peek(hits([hourly()]))).rejects.toMatchObject(storageError(message));
    expect(server.entries.get('nestjs-limits:{somebody}')?.text).toBe(text);
  });
});

describe('a store that hangs', () => {
  const TIMEOUT = 200;
  let goOn: () => void;
  let standsStill: Promise<void>;
  beforeEach(() => {
    standsStill = new Promise((resolve) => {
      goOn = resolve;
    });
    storage = open('nestjs-limits', TIMEOUT);
  });

  it.each([1, 200])('fails each of %d calls on one identity within the timeout', async (calls) => {
    server.interfere = () => standsStill;
    const settled = await Promise.allSettled([
      ...Array.from({ length: calls }, () => storage.consume(hits([hourly()]))),
      storage.peek(hits([hourly()])),
      storage.remove(hits([hourly()], 'another')),
    ]);
    for (const each of settled) {
      expect(each).toMatchObject({
        status: 'rejected',
        reason: storageError(
          expect.stringMatching(
            /^MapCasStorage (failed: no answer within 200 ms|found no turn within 200 ms and counted nothing\.)$/,
          ),
        ),
      });
    }
    expect(settled[0]).toHaveProperty('reason.cause.message', 'no answer within 200 ms');
  });

  it('is not called for failed calls when it continues, and serves new ones', async () => {
    server.interfere = () => standsStill;
    const calls = Array.from({ length: 3 }, () => storage.consume(hits([hourly()])));
    await Promise.allSettled(calls);
    goOn();
    expect((await storage.consume(hits([hourly()]))).outcomes[0]?.remaining).toBe(39);
    expect(server.count('compareAndSet')).toBe(1);
  });

  it('may still count the calls that it received before', async () => {
    server.interfere = (method) => (method === 'compareAndSet' ? standsStill : undefined);
    await expect(storage.consume(hits([hourly()]))).rejects.toMatchObject(
      storageError('MapCasStorage failed: no answer within 200 ms'),
    );
    goOn();
    expect((await storage.consume(hits([hourly()]))).outcomes[0]?.remaining).toBe(38);
  });

  it.each([0, 2 ** 31, Infinity])('has no timeout that a timer does not support: %p ms', (timeout) => {
    expect(() => open('nestjs-limits', timeout)).toThrow(
      'The timeout of MapCasStorage in ms must be a whole number from 1 to 2147483647; got the number ',
    );
  });
});

describe('similar key prefixes', () => {
  it('share no records, and are reset separately', async () => {
    const [short, long] = [open('app'), open('app:api')];
    await short.consume(hits([hourly()], 'api:somebody'));
    await long.consume(hits([hourly()]));
    expect([...server.entries.keys()]).toEqual(['app:{api:somebody}', 'app:api:{somebody}']);
    expect(await short.reset()).toBe(1);
    expect([...server.entries.keys()]).toEqual(['app:api:{somebody}']);
  });
});

describe('the stored text', () => {
  it('is JSON by digest: when the cell expires, then its state', async () => {
    const now = clock.now();
    const limits = [
      hourly({ id: 'a' }),
      hourly({ id: 'b', strategy: 'fixed-window-elastic-expiry' }),
      hourly({ id: 'c', strategy: 'moving-window' }),
      hourly({ id: 'd', strategy: 'sliding-window-counter' }),
      hourly({ id: 'e', strategy: 'token-bucket' }),
    ];
    await storage.consume(hits(limits));
    clock.advance(SECOND);
    await storage.consume(hits(limits.slice(2, 3), 'somebody', 2));
    const end = now + HOUR;
    expect(stored()).toEqual({
      [digest(0)]: [end, 1, end],
      [digest(1)]: [end, 1, now, end],
      [digest(2)]: [end + SECOND, now, 1, now + SECOND, 2],
      [digest(3)]: [now + 2 * HOUR, 0, 1, now],
      [digest(4)]: [now + HOUR / 40, HOUR, now, 40],
    });

    function digest(index: number): string {
      return limits[index]?.digest ?? '';
    }
  });

  it('has a block next to its cell, by a digest with an exclamation mark', async () => {
    const limit = hourly({ amount: 1, block: [MINUTE, 2 * HOUR] });
    await storage.consume(hits([limit]));
    await storage.consume(hits([limit]));
    const end = clock.now() + HOUR;
    expect(stored()).toEqual({
      [limit.digest]: [end, 1, end],
      [`${limit.digest}!`]: [clock.now() + MINUTE + 2 * HOUR, clock.now() + MINUTE, 0, 1],
    });
  });

  it('has the prefix and the identity as its key', async () => {
    await open('mine').consume(hits([hourly()], 'user/42'));
    expect([...server.entries.keys()]).toEqual(['mine:{user/42}']);
  });

  it('loses expired cells when it is written', async () => {
    const minutely = hourly({ id: 'minutely', period: MINUTE });
    await storage.consume(hits([hourly(), minutely]));
    clock.advance(MINUTE - 1);
    await storage.consume(hits([hourly()]));
    expect(Object.keys(stored())).toEqual([hourly().digest, minutely.digest]);
    clock.advance(1);
    await storage.consume(hits([hourly()]));
    expect(Object.keys(stored())).toEqual([hourly().digest]);
  });

  it('is empty, and can be dropped immediately, when all units are refunded', async () => {
    await storage.consume(hits([hourly()]));
    await storage.settle(hits([hourly()]).map((hit) => ({ ...hit, window: 'current', actual: 0 })));
    expect(stored()).toEqual({});
    expect(server.calls.at(-1)).toMatchObject({ method: 'compareAndSet', ttl: 0, won: true });
    expect((await storage.consume(hits([hourly()]))).outcomes[0]?.remaining).toBe(39);
  });

  it('has the time to live of its longest cell', async () => {
    await storage.consume(hits([hourly({ id: 'short', period: MINUTE }), hourly({ id: 'long' })]));
    expect(server.calls.at(-1)?.ttl).toBe(HOUR);
    clock.advance(SECOND);
    await storage.consume(hits([hourly({ id: 'short', period: MINUTE })]));
    expect(server.calls.at(-1)?.ttl).toBe(HOUR - SECOND);
    await storage.consume(hits([hourly({ id: 'year', period: 360 * 24 * HOUR })]));
    expect(server.calls.at(-1)?.ttl).toBe(360 * 24 * HOUR);
  });

  it('has the time to live of the smallest plan that shares it', async () => {
    const plan = (amount: number): Limit =>
      hourly({ id: 'plan', strategy: 'token-bucket', amount, period: MINUTE });
    for (let times = 0; times < 10; times++) await storage.consume(hits([plan(10)]));
    expect(server.calls.at(-1)?.ttl).toBe(MINUTE);
    await storage.consume(hits([plan(100)]));
    expect(server.calls.at(-1)?.ttl).toBe(MINUTE);
    clock.advance(7 * SECOND);
    expect(await left(plan(10))).toBe(0);
  });

  it('has the time to live of the smallest plan in one combined write', async () => {
    const plan = (amount: number): Limit =>
      hourly({ id: 'plan', strategy: 'token-bucket', amount, period: MINUTE });
    const other = hourly({ id: 'other', period: SECOND });
    await Promise.all([
      storage.consume(hits([other])),
      storage.consume(hits([plan(100)])),
      storage.consume(hits([plan(10)])),
    ]);
    expect(server.count('compareAndSet')).toBe(2);
    expect(server.calls.at(-1)?.ttl).toBe(12 * SECOND);
  });
});

describe('calls without a write', () => {
  it('are refusals', async () => {
    const limits = [
      hourly({ id: 'a', amount: 1 }),
      hourly({ id: 'b', amount: 1, strategy: 'moving-window' }),
      hourly({ id: 'c', amount: 1, strategy: 'sliding-window-counter' }),
      hourly({ id: 'd', amount: 1, strategy: 'token-bucket' }),
    ];
    await storage.consume(hits(limits));
    clock.advance(SECOND);
    for (let times = 0; times < 3; times++) expect((await storage.consume(hits(limits))).allowed).toBe(false);
    expect(server.count('compareAndSet')).toBe(1);
  });

  it('are refusals of an identity without a record', async () => {
    await storage.consume(hits([hourly({ amount: 0 })]));
    expect(server.count('compareAndSet')).toBe(0);
  });

  it('are hits of cost 0, and settlements without a change', async () => {
    await storage.consume(hits([hourly()], 'somebody', 0));
    await storage.settle(hits([hourly()]).map((hit) => ({ ...hit, window: 'current', actual: 0 })));
    await storage.remove(hits([hourly()]));
    expect(server.count('compareAndSet')).toBe(0);
  });

  it('do not include the extended end of an elastic window, or a block', async () => {
    const elastic = hourly({ id: 'elastic', amount: 1, strategy: 'fixed-window-elastic-expiry' });
    const blocking = hourly({ id: 'blocking', amount: 1, block: [HOUR] });
    await storage.consume(hits([elastic, blocking]));
    clock.advance(SECOND);
    await storage.consume(hits([elastic]));
    expect(server.count('compareAndSet')).toBe(2);
    await storage.consume(hits([blocking]));
    expect(server.count('compareAndSet')).toBe(3);
    await storage.consume(hits([blocking]));
    expect(server.count('compareAndSet')).toBe(3);
  });
});

describe('close', () => {
  it('releases once, and rejects later calls without calling the store', async () => {
    await storage.close();
    await storage.close();
    expect(storage.released).toBe(1);
    await expect(storage.consume(hits([hourly()]))).rejects.toMatchObject(
      storageError('MapCasStorage is closed.'),
    );
    await expect(storage.reset()).rejects.toMatchObject(storageError('MapCasStorage is closed.'));
    expect(server.calls).toEqual([]);
  });

  it('rejects calls in flight before they write', async () => {
    const underWay = storage.consume(hits([hourly()]));
    await storage.close();
    await expect(underWay).rejects.toMatchObject(storageError('MapCasStorage is closed.'));
    expect(server.entries.size).toBe(0);
  });
});

describe('capabilities', () => {
  it('are those of one identity at a time, by the local clock', () => {
    expect(storage.capabilities).toEqual({
      atomicity: 'identity',
      clock: 'local',
      strategies: [
        'fixed-window',
        'fixed-window-elastic-expiry',
        'calendar-window',
        'moving-window',
        'sliding-window-counter',
        'token-bucket',
        'concurrency',
      ],
      maxMovingWindow: 10_000,
    });
  });
});

/** A storage whose compare-and-sets always lose. */
class LosingStorage extends MapCasStorage {
  losing = true;
  lost = 0;

  protected override async compareAndSet(
    key: string,
    text: string,
    version: number | undefined,
    ttl: number,
  ): Promise<boolean> {
    if (!this.losing) return super.compareAndSet(key, text, version, ttl);
    this.lost++;
    return false;
  }
}

function storageError(message: unknown): Record<string, unknown> {
  return { name: 'StorageError', code: 'ERR_RATE_LIMIT_STORAGE', message };
}

function open(keyPrefix = 'nestjs-limits', timeout?: number): MapCasStorage {
  return new MapCasStorage(server, { clock, keyPrefix, timeout });
}

function hourly(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'hourly', strategy: 'fixed-window', amount: 40, period: HOUR, ...options });
}

function hits(limits: readonly Limit[], identity = 'somebody', cost = 1): Hit[] {
  return limits.map((limit) => ({ identity, limit, cost }));
}

async function left(limit: Limit, identity = 'somebody'): Promise<number | undefined> {
  return (await storage.peek(hits([limit], identity, 0))).outcomes[0]?.remaining;
}

function stored(): Record<string, number[]> {
  return JSON.parse(server.entries.get('nestjs-limits:{somebody}')?.text ?? '') as Record<string, number[]>;
}

function atOnce<T>(times: number, call: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => call(index)));
}
