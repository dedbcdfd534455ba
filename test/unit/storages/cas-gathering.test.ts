import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createLimit, type BatchResult, type Hit, type Limit } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf } from '../../../lib/core/contract.js';
import { GatheringCasStorage, MapCasServer } from '../../support/map-cas.storage.js';

/** A CasStorage with `readMany` and `compareAndSetMany`. */

const HOUR = 3_600_000;
const TIMEOUT = 200;

let clock: ManualClock;
let server: MapCasServer;
let storage: GatheringCasStorage;
beforeEach(() => {
  clock = new ManualClock();
  server = new MapCasServer();
  storage = open();
});

function open(timeout = 20_000): GatheringCasStorage {
  return new GatheringCasStorage(server, { clock, timeout });
}

function hourly(amount = 40): Limit {
  return createLimit({ id: 'hourly', strategy: 'fixed-window', amount, period: HOUR });
}

function hitsOn(identity: string, limit = hourly()): Hit[] {
  return [{ identity, limit, cost: 1 }];
}

function identities(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user ${index}`);
}

function hitAll(count: number, on = storage): Promise<BatchResult[]> {
  return Promise.all(identities(count).map((identity) => on.consume(hitsOn(identity))));
}

describe('identities of one turn of the event loop', () => {
  it('take two calls, up to 64 together', async () => {
    const results = await hitAll(64);
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual(identities(64).map(() => 39));
    expect(storage.calls).toEqual([
      ['readMany', 64],
      ['compareAndSetMany', 64],
    ]);
  });

  it('are split into calls of 64', async () => {
    await hitAll(100);
    expect(storage.calls.sort()).toEqual([
      ['compareAndSetMany', 36],
      ['compareAndSetMany', 64],
      ['readMany', 36],
      ['readMany', 64],
    ]);
  });

  it('share the calls whatever is asked of them', async () => {
    const first = await storage.consume(hitsOn('settled'));
    await storage.consume(hitsOn('removed'));
    const limit = createLimit({
      id: 'blocking',
      strategy: 'fixed-window',
      amount: 5,
      period: HOUR,
      block: [HOUR],
    });
    await Promise.all([
      storage.consume(hitsOn('hit')),
      storage.peek(hitsOn('seen')),
      storage.settle(receiptsOf(first).map((receipt) => ({ ...receipt, actual: 7 }))),
      storage.block([{ identity: 'blocked', limit, duration: HOUR }]),
      storage.remove(hitsOn('removed')),
    ]);
    expect(storage.calls).toEqual([
      ['readMany', 5],
      ['compareAndSetMany', 4], // a peek writes nothing
    ]);
    const after = await Promise.all([
      storage.peek(hitsOn('settled')),
      storage.peek(hitsOn('removed')),
      storage.peek(hitsOn('blocked', limit)),
    ]);
    expect(after.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([33, 40, 0]);
  });

  it('read a key once that is also looked at', async () => {
    const [, , { outcomes }] = await Promise.all([
      storage.consume(hitsOn('a')),
      storage.consume(hitsOn('b')),
      storage.peek(hitsOn('a')),
    ]);
    expect(storage.calls[0]).toEqual(['readMany', 2]);
    expect(outcomes[0]?.remaining).toBe(40);
  });

  it('use the calls of one key if there is only one', async () => {
    await storage.consume(hitsOn('a'));
    expect(storage.calls).toEqual([]);
    expect([server.count('read'), server.count('compareAndSet')]).toEqual([1, 1]);
  });

  it('that arrive while two rounds are in flight wait, and then share the next', async () => {
    const gates: (() => void)[] = [];
    storage.interfere = () =>
      new Promise((resolve) => {
        gates.push(resolve);
      });

    const done: Promise<unknown>[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      done.push(storage.consume(hitsOn(`${name} 1`)), storage.consume(hitsOn(`${name} 2`)));
      await setImmediate();
      await setImmediate();
    }
    expect(storage.calls).toEqual([
      ['readMany', 2],
      ['readMany', 2],
    ]);
    storage.interfere = () => undefined;
    for (const open of gates) open();
    await Promise.all(done);
    expect(storage.calls.filter(([method]) => method === 'readMany')).toEqual([
      ['readMany', 2],
      ['readMany', 2],
      ['readMany', 4],
    ]);
  });
});

describe('one identity', () => {
  it('whose record cannot be read fails alone', async () => {
    server.entries.set('nestjs-limits:{user 1}', { text: 'no JSON', version: 1, end: Infinity });
    const settled = await Promise.allSettled(
      identities(3).map((identity) => storage.consume(hitsOn(identity))),
    );
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(settled[1]).toMatchObject({
      reason: { code: 'ERR_RATE_LIMIT_STORAGE', message: expect.stringContaining('cannot be read') },
    });
    expect(storage.calls).toEqual([
      ['readMany', 3],
      ['compareAndSetMany', 2],
    ]);
  });

  it('whose write fails is the only one that fails', async () => {
    server.interfere = (method, key) => {
      if (method === 'compareAndSet' && key.includes('user 1')) throw new Error('too large');
    };
    const settled = await Promise.allSettled(
      identities(3).map((identity) => storage.consume(hitsOn(identity))),
    );
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(settled[1]).toMatchObject({
      reason: { code: 'ERR_RATE_LIMIT_STORAGE', message: 'GatheringCasStorage failed: too large' },
    });
  });

  it('that loses a race is read again alone, and counted once', async () => {
    const other = open();
    let raced = false;
    storage.interfere = async (method) => {
      if (method !== 'compareAndSetMany' || raced) return;
      raced = true;
      await other.consume(hitsOn('user 1'));
    };
    const results = await hitAll(3);
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([39, 38, 39]);
    expect(storage.calls).toEqual([
      ['readMany', 3],
      ['compareAndSetMany', 3],
    ]);
    expect(server.calls.filter(({ won }) => won === false)).toHaveLength(1);
  });

  it('is never counted above its limit by two processes, and nothing is lost', async () => {
    const other = open();
    const limit = hourly(40);
    const hits = Array.from({ length: 200 }, (_, index) => hitsOn(`user ${index % 4}`, limit));
    const results = await Promise.all(
      hits.map((batch, index) => (index % 8 < 4 ? storage : other).consume(batch)),
    );
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(160);
    const left = await Promise.all(identities(4).map((identity) => storage.peek(hitsOn(identity, limit))));
    expect(left.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([0, 0, 0, 0]);
  });
});

describe('a store that fails', () => {
  it.each(['readMany', 'compareAndSetMany'] as const)(
    'fails all calls of a round when %s throws, and is not called again',
    async (failing) => {
      storage.interfere = (method) => {
        if (method === failing) throw new Error('connection lost');
      };
      const settled = await Promise.allSettled(
        identities(3).map((identity) => storage.consume(hitsOn(identity))),
      );
      for (const each of settled) {
        expect(each).toMatchObject({
          status: 'rejected',
          reason: { message: 'GatheringCasStorage failed: connection lost' },
        });
      }
      expect(storage.calls.filter(([method]) => method === failing)).toHaveLength(1);
      storage.interfere = () => undefined;
      expect((await hitAll(3))[0]?.outcomes[0]?.remaining).toBe(39);
    },
  );

  it('fails calls whose result is missing', async () => {
    class Forgetful extends GatheringCasStorage {
      protected override compareAndSetMany(): Promise<boolean[]> {
        return Promise.resolve([true]);
      }
    }
    const forgetful = new Forgetful(server, { clock });
    const settled = await Promise.allSettled(
      identities(2).map((identity) => forgetful.consume(hitsOn(identity))),
    );
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(settled[1]).toMatchObject({
      reason: { message: 'Forgetful failed: the store returned no result for a key' },
    });
  });
});

describe('a store that hangs', () => {
  it('fails all calls within the timeout, writes nothing for them later, and serves new ones', async () => {
    storage = open(TIMEOUT);
    let goOn = (): void => undefined;
    const standsStill = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    storage.interfere = () => standsStill;
    const settled = await Promise.allSettled(
      identities(200).map((identity) => storage.consume(hitsOn(identity))),
    );
    expect(new Set(settled.map(({ status }) => status))).toEqual(new Set(['rejected']));
    expect(settled[199]).toMatchObject({ reason: { code: 'ERR_RATE_LIMIT_STORAGE' } });
    goOn();
    storage.interfere = () => undefined;
    const results = await hitAll(3, open());
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([39, 39, 39]);
    expect(server.calls.filter(({ won }) => won === true)).toHaveLength(3);
    expect((await hitAll(3))[0]?.outcomes[0]?.remaining).toBe(38);
  });
});

it('A storage that was closed between reading and writing stores nothing', async () => {
  storage.interfere = async (method) => {
    if (method === 'readMany') await storage.close();
  };
  const settled = await Promise.allSettled(
    identities(2).map((identity) => storage.consume(hitsOn(identity))),
  );
  expect(settled).toMatchObject(
    identities(2).map(() => ({ reason: { message: 'GatheringCasStorage is closed.' } })),
  );
  expect(server.count('compareAndSet')).toBe(0);
});
