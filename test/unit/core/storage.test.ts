import { describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  MemoryStorage,
  RateLimitItemPerMinute,
  Storage,
  StorageError,
  type Limit,
  type MemoryStorageOptions,
  type StorageCapabilities,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { itemLimitId } from '../../../lib/core/per-key-methods.js';
import { assertSupported, closedError, failureOf, isStorage } from '../../../lib/core/storage.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

describe('the keyPrefix', () => {
  it.each(['a', 'my-app', 'my:app:limits', 'app.v2', 'Ünïcödé', '日本', 'a/b', '*', '%', 'x'.repeat(200)])(
    'can be %j',
    (keyPrefix) => {
      expect(new MemoryStorage({ keyPrefix }).keyPrefix).toBe(keyPrefix);
      expect(new MapCasStorage(new MapCasServer(), { keyPrefix }).keyPrefix).toBe(keyPrefix);
    },
  );

  it.each<[unknown, string]>([
    ['', 'the string ""'],
    ['a b', 'the string "a b"'],
    [' a', 'the string " a"'],
    ['a\n', String.raw`the string "a\n"`],
    ['a\r\nb', String.raw`the string "a\r\nb"`],
    ['a\0', String.raw`the string "a\u0000"`],
    ['a\u007f', String.raw`the string "a\u007f"`],
    ['a\u00a0b', 'the string "a\u00a0b"'],
    ['{a}', 'the string "{a}"'],
    ['a}', 'the string "a}"'],
    [5, 'the number 5'],
    [null, 'null'],
    [['a'], 'an array'],
  ])('cannot be %j', (keyPrefix, said) => {
    const refuse = new ConfigurationError(
      `The keyPrefix of a storage must be a non-empty string without white space, braces and control characters; got ${said}.`,
    );
    const options = { keyPrefix } as MemoryStorageOptions;
    expect(() => new MemoryStorage(options)).toThrow(refuse);
    expect(() => new MapCasStorage(new MapCasServer(), options)).toThrow(refuse);
  });

  it('is nestjs-limits by default', () => {
    expect(new MapCasStorage(new MapCasServer()).keyPrefix).toBe('nestjs-limits');
  });
});

describe('a storage as a string', () => {
  it('is its class, without options', () => {
    expect(String(new MemoryStorage({ keyPrefix: 'secret' }))).toBe('MemoryStorage');
    expect(closedError(new MemoryStorage())).toEqual(new StorageError('MemoryStorage is closed.'));
  });
});

describe('isStorage', () => {
  it('recognizes storages by their methods', () => {
    expect(isStorage(new MemoryStorage())).toBe(true);
    expect(isStorage(new MapCasStorage(new MapCasServer()))).toBe(true);
  });

  it.each([undefined, null, 'memory://', 5, {}, { consume: () => undefined }])('rejects %p', (value) => {
    expect(isStorage(value)).toBe(false);
  });
});

describe('assertSupported', () => {
  it('throws for an unsupported strategy, and lists the supported ones', () => {
    const limit = createLimit({ id: 'logins', strategy: 'token-bucket', amount: 5, period: 1000 });
    expect(() => assertSupported(new FixedWindowStorage(), limit)).toThrow(
      new ConfigurationError(
        'FixedWindowStorage has no strategy "token-bucket", which the limit "logins" requires. It has: fixed-window, moving-window.',
      ),
    );
  });

  it('throws for a moving window that is too large for the storage', () => {
    const window = (amount: number): ReturnType<typeof createLimit> =>
      createLimit({ id: 'logins', strategy: 'moving-window', amount, period: 1000 });
    const storage = new MapCasStorage(new MapCasServer());
    expect(() => assertSupported(storage, window(10_001))).toThrow(
      new ConfigurationError(
        'The moving window "logins" of 10001 is too large for MapCasStorage, which holds up to 10000. ' +
          'Take "sliding-window-counter" or "token-bucket" for large amounts.',
      ),
    );
    expect(() => assertSupported(storage, window(10_000))).not.toThrow();
    expect(() => assertSupported(new MemoryStorage(), window(1_000_000))).not.toThrow();
  });
});

describe('the per-key methods', () => {
  it('use the cells of the item whose keyFor made the key', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    const item = new RateLimitItemPerMinute(3, 2, 'API');
    const key = item.keyFor('user', 'a/b');
    const limit = createLimit({
      id: itemLimitId(item.cell, 'fixed-window'),
      strategy: 'fixed-window',
      amount: 3,
      period: 120_000,
    });
    storage.consume([{ identity: 'API/user/a%2Fb', limit, cost: 2 }]);
    expect(storage.get(key)).toBe(2);
    expect(storage.getExpiry(key)).toBe(clock.now() / 1000 + 120);
    await storage.clear(key);
    expect(storage.get(key)).toBe(0);
  });

  it('keep a counter and an elastic counter of one key apart, and get returns the higher', () => {
    const storage = new MemoryStorage();
    expect(storage.incr('key', 60)).toBe(1);
    expect(storage.incr('key', 60, true, 3)).toBe(3);
    expect(storage.incr('key', 60)).toBe(2);
    expect(storage.get('key')).toBe(3);
  });

  it('accept fractions of a second, down to a millisecond', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    await storage.incr('key', 0.25);
    expect(storage.getExpiry('key')).toBe((clock.now() + 250) / 1000);
  });

  it('throw for an expiry of 0, and for a moving window that is too large', () => {
    const storage = new MemoryStorage();
    expect(() => storage.incr('key', 0)).toThrow(
      new ConfigurationError(
        'The period in ms of the limit "key" must be a whole number, at least 1; got the number 0.',
      ),
    );
    expect(() => storage.acquireEntry('key', 1_000_001, 60)).toThrow(ConfigurationError);
  });

  it.each([-1, 0.5, NaN, '1'])('throw for the amount or cost %p, and count nothing', async (amount) => {
    const storage = new MemoryStorage();
    await storage.incr('key', 60);
    const calls = [
      () => storage.incr('key', 60, false, amount as number),
      () => storage.acquireEntry('key', 3, 60, { cost: amount as number }),
      () => storage.acquireEntry('key', 3, 60, { cost: amount as number, noAdd: true }),
    ];
    for (const call of calls)
      expect(call).toThrow(/^The cost of a hit must be a whole number from 0; got the (number|string) /);
    expect([storage.get('key'), storage.getNumAcquired('key', 60)]).toEqual([1, 0]);
  });

  it('do not mistake a key with slashes for a keyFor key', async () => {
    const storage = new MemoryStorage();
    await storage.incr('a/b', 60);
    await storage.incr('a/b/1', 60, false, 2);
    await storage.incr('a/b/1/1/minute', 60, false, 3);
    expect(['a/b', 'a/b/1', 'a/b/1/1/minute'].map((key) => storage.get(key))).toEqual([1, 2, 3]);
  });
});

describe('a storage of one’s own', () => {
  const storage = new MapCasStorage(new MapCasServer());

  it('refuses to remove the counts of all identities, unless it can list them', () => {
    const limit = createLimit({ id: 'a', strategy: 'fixed-window', amount: 1, period: 1000 });
    expect(() => new UnlistedStorage().removeLimits([limit])).toThrow(
      new StorageError(
        'UnlistedStorage cannot remove the counts of all identities: it lists no keys. Remove those of each identity.',
      ),
    );
  });

  it('holds at most as many slots as its moving windows hold hits', () => {
    const slots = (amount: number): Limit =>
      createLimit({ id: 'slots', strategy: 'concurrency', amount, period: 1000 });
    const { maxMovingWindow } = storage.capabilities;
    expect(() => assertSupported(storage, slots(maxMovingWindow))).not.toThrow();
    expect(() => assertSupported(storage, slots(maxMovingWindow + 1))).toThrow(
      `The limit "slots" of ${maxMovingWindow + 1} concurrent requests is too large for MapCasStorage, which holds up to ${maxMovingWindow} slots.`,
    );
  });

  it.each([
    ['Out of memory', 'MapCasStorage failed: Out of memory. Add some.'],
    ['Out of memory.', 'MapCasStorage failed: Out of memory. Add some.'],
  ])('names the failure %j and its remedy', (message, said) => {
    expect(failureOf(storage, new Error(message), 'Add some.')).toEqual(new StorageError(said));
    expect(failureOf(storage, new Error(message))).toEqual(
      new StorageError(`MapCasStorage failed: ${message}`),
    );
  });

  it('passes on an error of this library', () => {
    const error = new ConfigurationError('wrong');
    expect(failureOf(storage, error, 'Add some.')).toBe(error);
  });
});

describe('a storage that returns no outcome for a hit', () => {
  it('causes a StorageError', () => {
    const storage = new MemoryStorage();
    storage.consume = () => ({ allowed: true, now: 0, outcomes: [] });
    expect(() => storage.incr('key', 60)).toThrow(
      new StorageError('The storage returned no outcome for a hit.'),
    );
  });
});

/** A storage that does not list its keys. */
class UnlistedStorage extends MemoryStorage {
  override removeLimits(limits: readonly Limit[]): void {
    void Storage.prototype.removeLimits.call(this, limits);
  }
}

class FixedWindowStorage extends MemoryStorage {
  override readonly capabilities: StorageCapabilities = {
    atomicity: 'batch',
    clock: 'local',
    strategies: ['fixed-window', 'moving-window'],
    maxMovingWindow: 100,
  };
}
