import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, Storage } from 'nestjs-limits';
import { GAEMemcachedStorage, MemcachedStorage } from 'nestjs-limits/memcached';

const secretive = 'memcached://me:secret@localhost';

describe.each([MemcachedStorage, GAEMemcachedStorage])('%p', (Class) => {
  it('is a storage that shows neither its servers nor its credentials', () => {
    const storage = new Class(secretive);
    expect(storage).toBeInstanceOf(Storage);
    expect(`${storage}`).toBe(Class.name);
    expect(JSON.stringify(storage)).not.toMatch(/secret|localhost/);
  });

  it('cannot reset, and its error has the alternative', async () => {
    await expect(new Class(secretive).reset()).rejects.toMatchObject({
      code: 'ERR_RATE_LIMIT_STORAGE',
      message:
        `${Class.name} cannot reset: Memcached does not list keys. Remove single cells, use another keyPrefix, ` +
        'or have an operator empty the servers (flush_all), which takes what others keep there as well.',
    });
  });
});

describe('the options of a MemcachedStorage', () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [
      { timeout: 0 },
      /^The timeout of MemcachedStorage in ms must be a whole number from 1 to 2147483647; got/,
    ],
    [
      { timeout: 2 ** 31 },
      /^The timeout of MemcachedStorage in ms must be a whole number from 1 to 2147483647; got/,
    ],
    [{ tls: { key: 'none' } }, /^The tls options of a MemcachedStorage cannot be used: ./],
    [{ maxKeys: 5 }, /^MemcachedStorage does not know the option "maxKeys"\. Known options: /],
    [{ keyPrefix: 'préfixe' }, /^The keyPrefix of a Memcached storage must be up to 200 visible ASCII/],
  ])('throw if they are invalid: %j', (options, message) => {
    const open = (): unknown => new MemcachedStorage(secretive, options);
    expect(open).toThrow(ConfigurationError);
    expect(open).toThrow(message);
  });

  it('can be undefined', () => {
    const options: object = { timeout: undefined, tls: undefined, keyPrefix: undefined, clock: undefined };
    const storage = new MemcachedStorage(secretive, options);
    expect(storage.keyPrefix).toBe('nestjs-limits');
  });
});
