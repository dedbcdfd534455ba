import { describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  FixedWindowRateLimiter,
  MemoryStorage,
  storageFromString,
  type StorageFromStringOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

describe('storageFromString', () => {
  it.each(['memory://', 'MEMORY://', 'async+memory://', 'Async+Memory://', 'memory://ignored'])(
    'opens memory for "%s"',
    async (uri) => {
      expect(await storageFromString(uri)).toBeInstanceOf(MemoryStorage);
    },
  );

  it('passes the options on', async () => {
    const clock = new ManualClock(0);
    const storage = await storageFromString('memory://', { clock, keyPrefix: 'mine' });
    const limiter = new FixedWindowRateLimiter(storage);

    expect(storage.keyPrefix).toBe('mine');
    expect(await limiter.consume('1/minute')).toMatchObject({ now: 0, resetTime: 60_000 });
    await expect(storageFromString('memory://', { maxKeys: 0 })).rejects.toThrow(ConfigurationError);

    const misspelt = JSON.parse('{ "prefix": "mine" }') as StorageFromStringOptions;
    await expect(storageFromString('memory://', misspelt)).rejects.toThrow(
      'MemoryStorage does not know the option "prefix".',
    );
  });

  it.each([
    ['foo://user:secret@host:1234/db?password=secret', 'has the unknown scheme "foo://"'],
    ['async+foo://user:secret@host', 'has the unknown scheme "foo://"'],
    ['FOO+bar://user:secret@host', 'has the unknown scheme "foo+bar://"'],
    ['constructor://user:secret@host', 'has the unknown scheme "constructor://"'],
    ['user:secret@host', 'has no scheme'],
    ['foo:user:secret@host', 'has no scheme'],
    ['//user:secret@host', 'has no scheme'],
    [' memory://user:secret@host', 'has no scheme'],
    ['async+://user:secret@host', 'has the unknown scheme "async+://"'],
    ['', 'has no scheme'],
  ])('throws for "%s", lists the known schemes and shows nothing else of it', async (uri, reason) => {
    const error = await storageFromString(uri).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(ConfigurationError);
    const { message, cause } = error as Error;
    expect(message).toMatch(
      new RegExp(`^The storage URI ${reason.replace('+', '\\+')}\\. Known schemes: memory://`),
    );
    expect(message).not.toMatch(/secret|user|host/);
    expect(cause).toBeUndefined();
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [new URL('memory://'), 'an object (URL)'],
    [6379, 'the number 6379'],
  ])('throws for %p, which is not a string', async (uri, described) => {
    await expect(storageFromString(uri as unknown as string)).rejects.toThrow(
      `A storage URI must be a string; got ${described}. Known schemes: memory://`,
    );
  });
});
