import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BSON, MongoClient, type Binary, type Collection } from 'mongodb';
import {
  createLimit,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type StoredText,
  type StrategyName,
} from 'nestjs-limits';
import { MongoDBStorage, type MongoDBStorageOptions } from 'nestjs-limits/mongodb';
import { describeStorage, ManualClock } from 'nestjs-limits/testing';
import { strategies } from '../../lib/strategies/strategies.js';
import { describeOn } from '../support/servers.js';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

/** Long timeout, since the machine may be busy and some cases make hundreds of concurrent calls. */
const PATIENT = { timeout: 20_000 };

describeOn('MONGODB', 'on a server', (uri) => {
  describeStorage('MongoDBStorage', {
    open: (options) => new MongoDBStorage(uri, { ...options, ...PATIENT }),
  });
});

describeOn('MONGODB_REPLICA', 'on a replica set, with a given client', (uri) => {
  let client: MongoClient;
  beforeAll(() => {
    client = new MongoClient(uri);
  });
  afterAll(() => client.close());

  describeStorage('MongoDBStorage', {
    open: (options) => new MongoDBStorage(client, { ...options, ...PATIENT }),
  });

  it('leaves the client open when the storages on it are closed', async () => {
    expect(await client.db().command({ ping: 1 })).toMatchObject({ ok: 1 });
  });
});

interface StoredDocument {
  _id: string;
  text: string;
  version: Binary;
  expireAt: Date;
}

describeOn('MONGODB', 'what is stored', (uri) => {
  const database = `stored-${randomBytes(4).toString('hex')}`;
  let client: MongoClient;
  let documents: Collection<StoredDocument>;
  let opened: MongoDBStorage[] = [];

  beforeAll(() => {
    client = new MongoClient(uri);
    documents = client.db(database).collection('rate_limits');
  });
  afterEach(async () => {
    await open().reset();
    await Promise.all(opened.map((storage) => storage.close()));
    opened = [];
  });
  afterAll(async () => {
    await client.db(database).dropDatabase();
    await client.close();
  });

  function open(options: MongoDBStorageOptions = {}): MongoDBStorage {
    const storage = new MongoDBStorage(client, { database, ...PATIENT, ...options });
    opened.push(storage);
    return storage;
  }

  async function stored(): Promise<StoredDocument> {
    const document = await documents.findOne();
    if (document === null) throw new Error('There is no document.');
    return document;
  }

  it('is one readable document per identity with the counts of all limits', async () => {
    const clock = new ManualClock();
    const now = clock.now();
    const [fixed, bucket] = [limitOf('fixed-window'), limitOf('token-bucket')];
    const storage = open({ clock });
    await storage.consume(hitsOn([fixed, bucket], 2));
    const { _id, text, version, expireAt } = await stored();
    expect(_id).toBe('nestjs-limits:{user/42}');
    expect([version.sub_type, expireAt]).toEqual([BSON.Binary.SUBTYPE_UUID, expect.any(Date)]);
    expect(JSON.parse(text)).toEqual({
      [fixed.digest]: [now + HOUR, 2, now + HOUR],
      [bucket.digest]: [
        now + HOUR / 5,
        ...strategies['token-bucket'].encode({ level: 2 * HOUR, at: now, amount: 10 }),
      ],
    });
  });

  it('is small', async () => {
    const four: StrategyName[] = [
      'fixed-window',
      'fixed-window-elastic-expiry',
      'sliding-window-counter',
      'token-bucket',
    ];
    const sizes: number[] = [];
    for (const strategies of [four.slice(0, 1), four]) {
      await open({ clock: new ManualClock() }).consume(
        hitsOn(strategies.map((strategy) => limitOf(strategy))),
      );
      sizes.push(BSON.calculateObjectSize(await stored()));
    }
    expect(sizes).toEqual([141, 295]);
  });

  it('drops expired cells when other cells change', async () => {
    const clock = new ManualClock();
    const [short, long] = [limitOf('fixed-window', { id: 'short', period: SECOND }), limitOf('fixed-window')];
    const storage = open({ clock });
    await storage.consume(hitsOn([short, long]));
    clock.advance(SECOND);
    await storage.consume(hitsOn([long]));
    expect(Object.keys(JSON.parse((await stored()).text) as object)).toEqual([long.digest]);
  });

  it('is not written by a refused hit that changes nothing', async () => {
    const limit = limitOf('moving-window', { amount: 2 });
    const storage = open();
    await storage.consume(hitsOn([limit], 2));
    await storage.consume(hitsOn([limit]));
    const before = await stored();
    await storage.consume(hitsOn([limit]));
    expect(await stored()).toEqual(before);
  });

  it('expires in real time, with any clock, and with enough slack that few hits extend it', async () => {
    const clock = new ManualClock(0);
    const storage = open({ clock });
    const limit = limitOf('fixed-window-elastic-expiry');
    const before = Date.now();
    await storage.consume(hitsOn([limit]));
    const { expireAt } = await stored();
    expect(expireAt.getTime()).toBeGreaterThanOrEqual(before + 1.25 * HOUR);
    expect(expireAt.getTime()).toBeLessThanOrEqual(Date.now() + 1.25 * HOUR);
    clock.advance(HOUR / 2);
    await storage.consume(hitsOn([limit]));
    expect((await stored()).expireAt).toEqual(expireAt);
  });

  it('belongs to one key prefix only, even if another begins the same', async () => {
    const limit = limitOf('fixed-window');
    const [short, long] = [open({ keyPrefix: 'app' }), open({ keyPrefix: 'app:api' })];
    await short.consume([{ identity: 'api:user/42', limit, cost: 1 }]);
    expect(await long.consume(hitsOn([limit]))).toMatchObject({ outcomes: [{ remaining: 9 }] });
    expect(await short.reset()).toBe(1);
    expect(await long.reset()).toBe(1);
  });

  it("is read with the server's time, even if there is no document", async () => {
    const storage = open();
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now - HOUR);
    const result = await storage.peek(hitsOn([limitOf('fixed-window')]));
    jest.restoreAllMocks();
    expect(result.now).toBeGreaterThanOrEqual(now - SECOND);
    expect(result.outcomes).toMatchObject([{ remaining: 10, resetTime: result.now }]);
  });

  it('is deleted by a TTL index of the server, which reset keeps', async () => {
    const storage = open();
    await storage.consume(hitsOn([limitOf('fixed-window')]));
    const index = { name: 'expireAt_1', key: { expireAt: 1 }, expireAfterSeconds: 0 };
    expect(await documents.indexes()).toContainEqual(expect.objectContaining(index));
    expect(await storage.reset()).toBe(1);
    expect(await documents.indexes()).toContainEqual(expect.objectContaining(index));
  });

  it('is in the database of the options, or else of the URI or the client', async () => {
    const [named, other] = [client.db(`${database}-named`), client.db(`${database}-other`)];
    const uriOfNamed = uri.replace(/\/[^/?]*(\?|$)/, `/${named.databaseName}$1`);
    const clientOfNamed = new MongoClient(uriOfNamed);
    const storages = [
      new MongoDBStorage(uriOfNamed, PATIENT),
      new MongoDBStorage(clientOfNamed, { ...PATIENT, collection: 'own' }),
      new MongoDBStorage(uriOfNamed, { ...PATIENT, database: other.databaseName }),
    ];
    for (const storage of storages) await storage.consume(hitsOn([limitOf('fixed-window')]));
    expect(await named.collection('rate_limits').countDocuments()).toBe(1);
    expect(await named.collection('own').countDocuments()).toBe(1);
    expect(await other.collection('rate_limits').countDocuments()).toBe(1);
    await Promise.all([
      named.dropDatabase(),
      other.dropDatabase(),
      ...storages.map((storage) => storage.close()),
    ]);
    await clientOfNamed.close();
  });

  it('is counted by the clock of the server, not by the clocks of the processes', async () => {
    const limit = limitOf('fixed-window', { amount: 2, period: 60 * SECOND });
    const storage = open();
    const ends: unknown[] = [];
    for (const skew of [0, 120 * SECOND, -120 * SECOND]) {
      const now = Date.now.bind(Date);
      jest.spyOn(Date, 'now').mockImplementation(() => now() + skew);
      const { allowed, outcomes } = await storage.consume(hitsOn([limit]));
      ends.push([allowed, outcomes[0]?.resetTime]);
      jest.restoreAllMocks();
    }
    const [, end] = ends[0] as [boolean, number];
    expect(ends).toEqual([
      [true, end],
      [true, end],
      [false, end],
    ]);
  });

  it('ends within one period if its end lies in the future after the clock was turned back', async () => {
    const limit = limitOf('fixed-window', { amount: 1, period: 60 * SECOND });
    const storage = open();
    await storage.consume(hitsOn([limit]));
    const text = JSON.stringify({ [limit.digest]: [Date.now() + HOUR, 1, Date.now() + HOUR] });
    await documents.updateOne({}, { $set: { text } });
    const { now, allowed, outcomes } = await storage.consume(hitsOn([limit]));
    expect(allowed).toBe(false);
    expect(outcomes[0]?.resetTime).toBe(now + 60 * SECOND);
  });

  it('admits no more under contention', async () => {
    const limit = limitOf('token-bucket', { amount: 50, period: SECOND, burst: 10 });
    const storages = Array.from({ length: 4 }, () => open());
    let allowed = 0;
    const times: number[] = [];
    await Promise.all(
      storages.map(async (storage) => {
        for (let hit = 0; hit < 40; hit++) {
          const result = await storage.consume(hitsOn([limit]));
          times.push(result.now);
          if (result.allowed) allowed++;
        }
      }),
    );
    const elapsed = Math.max(...times) - Math.min(...times);
    expect(allowed).toBeLessThanOrEqual(10 + Math.floor((elapsed * 50) / SECOND));
    expect(allowed).toBeGreaterThan(10);
  });

  it('takes no space on the server for a cost that is too large', async () => {
    const limit = limitOf('moving-window');
    const { outcomes } = await open().consume(hitsOn([limit], Number.MAX_SAFE_INTEGER));
    expect(outcomes).toMatchObject([{ allowed: false, remaining: 10, retryAfter: Infinity }]);
  });

  it('holds the largest moving window', async () => {
    const limit = limitOf('moving-window', { amount: 10_000 });
    const storage = open();
    const { now } = await storage.consume(hitsOn([limit], 9_999));
    expect(await storage.consume(hitsOn([limit]))).toMatchObject({
      outcomes: [{ allowed: true, remaining: 0, resetTime: now + HOUR }],
    });
    expect(await storage.consume(hitsOn([limit], 10_000))).toMatchObject({ outcomes: [{ allowed: false }] });
  });
});

describeOn('MONGODB', 'identities of one turn of the event loop', (uri) => {
  const database = `gathered-${randomBytes(4).toString('hex')}`;
  let client: MongoClient;
  let documents: Collection<StoredDocument>;
  let storage: MongoDBStorage;
  /** The commands on the collection, in order. */
  let commands: string[];

  beforeEach(async () => {
    client = new MongoClient(uri, { monitorCommands: true });
    documents = client.db(database).collection('rate_limits');
    storage = new MongoDBStorage(client, { database, ...PATIENT });
    await storage.peek(hitsOn([limitOf('fixed-window')])); // connects
    commands = [];
    client.on('commandStarted', ({ commandName }) => commands.push(commandName));
  });
  afterEach(async () => {
    await storage.close();
    await client.db(database).dropDatabase();
    await client.close();
  });

  function hitOn(identity: string): Hit[] {
    return [{ identity, limit: limitOf('fixed-window'), cost: 1 }];
  }

  function names(count: number): string[] {
    return Array.from({ length: count }, (_, index) => `user/${index}`);
  }

  it('are read in one command, and written in one', async () => {
    for (const remaining of [9, 8]) {
      const results = await Promise.all(names(64).map((name) => storage.consume(hitOn(name))));
      expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual(names(64).map(() => remaining));
    }
    expect(commands).toEqual(['aggregate', 'update', 'aggregate', 'update']);
  });

  it('fail alone if the server rejects their document', async () => {
    await client.db(database).command({
      collMod: 'rate_limits',
      validator: { _id: { $ne: 'nestjs-limits:{user/1}' } },
    });
    const settled = await Promise.allSettled(names(3).map((name) => storage.consume(hitOn(name))));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(settled[1]).toMatchObject({
      reason: { message: expect.stringContaining('Document failed validation') },
    });
    expect(await documents.countDocuments()).toBe(2);
  });

  it('that lose a race are counted once, beside those that win', async () => {
    const racing = new RacingStorage(client, { database, ...PATIENT });
    racing.interfere = async () => {
      await storage.consume(hitOn('user/1'));
      await storage.consume(hitOn('user/2'));
    };
    await storage.consume(hitOn('user/2'));
    const results = await Promise.all(names(4).map((name) => racing.consume(hitOn(name))));
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([9, 8, 7, 9]);
  });

  it('begin again if their documents were deleted before the write', async () => {
    await Promise.all(names(3).map((name) => storage.consume(hitOn(name))));
    const racing = new RacingStorage(client, { database, ...PATIENT });
    racing.interfere = async () => {
      await documents.deleteOne({ _id: 'nestjs-limits:{user/1}' });
    };
    const results = await Promise.all(names(3).map((name) => racing.consume(hitOn(name))));
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual([8, 9, 8]);
  });

  it('may have more records than one document of the server can hold', async () => {
    const text = JSON.stringify({ other: Array.from({ length: 20_000 }, () => 2 ** 52) });
    const fields = { text, version: new BSON.UUID().toBinary(), expireAt: new Date(2 ** 52) };
    await documents.insertMany(names(60).map((name) => ({ _id: `nestjs-limits:{${name}}`, ...fields })));
    const results = await Promise.all(names(60).map((name) => storage.peek(hitOn(name))));
    expect(results.map(({ outcomes }) => outcomes[0]?.remaining)).toEqual(names(60).map(() => 10));
  });
});

/** A storage that does something else between reading and writing, once. */
class RacingStorage extends MongoDBStorage {
  interfere: (() => Promise<void>) | undefined;

  protected override async readMany(keys: readonly string[]): Promise<StoredText<Binary>[]> {
    const read = await super.readMany(keys);
    const { interfere } = this;
    this.interfere = undefined;
    await interfere?.();
    return read;
  }
}

describe('opening a MongoDBStorage', () => {
  it.each([
    ['another scheme', 'redis://user:hunter2@localhost'],
    ['no host', 'mongodb://user:hunter2@/limits'],
    ['an unescaped password', 'mongodb://user:hunter2@x@localhost'],
    ['a password that encodes nothing', 'mongodb://user:hunter2%@localhost'],
    ['an unknown option', 'mongodb://user:hunter2@localhost/?nonsense=1'],
    ['several hosts to look up', 'mongodb+srv://user:hunter2@one.example.com,two.example.com'],
  ])('throws for a URI with %s, and does not show it', (_what, uri) => {
    const error = errorOf(() => new MongoDBStorage(uri));
    expect(error).toMatchObject({
      code: 'ERR_RATE_LIMIT_CONFIGURATION',
      message: expect.stringContaining('mongodb://'),
    });
    expect(String(error)).not.toMatch(/user:h|hunter2|localhost|example/);
    expect(error).not.toHaveProperty('cause');
  });

  it('throws for unknown options', () => {
    const options = { nonsense: 1 } as MongoDBStorageOptions;
    expect(() => new MongoDBStorage('mongodb://user:hunter2@localhost', options)).toThrow(
      'The options of a MongoDBStorage cannot be used: option nonsense is not supported',
    );
  });

  it('throws for driver options with a given client', () => {
    const client = new MongoClient('mongodb://localhost');
    expect(() => new MongoDBStorage(client, { maxPoolSize: 5 })).toThrow(
      'A MongoDBStorage on a given client does not know the option "maxPoolSize".',
    );
  });

  it('throws for an invalid name of a database', () => {
    expect(() => new MongoDBStorage('mongodb://localhost', { database: 'a.b' })).toThrow(
      "The options of a MongoDBStorage cannot be used: Database names cannot contain the character '.'",
    );
  });

  it('throws for an invalid timeout', () => {
    expect(() => new MongoDBStorage('mongodb://localhost', { timeout: 0 })).toThrow(
      'The timeout of MongoDBStorage in ms must be a whole number from 1 to 2147483647; got the number 0.',
    );
  });

  it('is shown by its name only', async () => {
    const storage = new MongoDBStorage('async+mongodb://user:hunter2@localhost:1', { timeout: 100 });
    expect(String(storage)).toBe('MongoDBStorage');
    await storage.close();
  });
});

function limitOf(strategy: StrategyName, options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: strategy, strategy, amount: 10, period: HOUR, ...options });
}

function hitsOn(limits: readonly Limit[], cost = 1): Hit[] {
  return limits.map((limit) => ({ identity: 'user/42', limit, cost }));
}

function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('It did not throw.');
}
