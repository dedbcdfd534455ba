import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, storageFromString } from 'nestjs-limits';
import { parseStorageUri } from '../../../lib/storages/storage-uri.js';

const FORM = 'redis://[user:password@]host:port';

describe('A storage URI whose password is not encoded', () => {
  it.each([
    ['redis://user:sec@ret@host', 'has an "@" too many'],
    ['redis://user:@secret@host', 'has an "@" too many'],
    ['redis://user:123/secret@host', 'has an "@" after a "/"'],
    ['redis://user:@secret/secret@host', 'has an "@" after a "/"'],
    ['redis://user:se/cret@host', 'has an "@" after a "/"'],
    ['redis://u@b:1,secret?@host', 'has an "@" after a "?"'],
    ['redis://user:@secret?x@host', 'has an "@" after a "?"'],
  ])('throws instead of being split at the wrong place: %s', (uri, what) => {
    expect(() => parseStorageUri(uri, FORM, 6379)).toThrow(
      new ConfigurationError(
        `The storage URI ${what}. It should look like ${FORM}, with reserved characters percent-encoded.`,
      ),
    );
  });

  it.each([
    'redis+unix://:secret/run/redis.sock',
    'redis+unix://user:secret/run/redis.sock',
    'redis://:secret',
    'redis://user:secret/1',
    'memcached://user:secret/run/memcached.sock',
    'mongodb://user:secret,host/db',
  ])('names the missing "@" where none follows the password: %s', (uri) => {
    expect(() => parseStorageUri(uri, FORM, 6379)).toThrow(
      new ConfigurationError(
        'The storage URI has a host whose port is no number. If that is a user and a password, an "@" must follow them: ' +
          `user:password@host, or :password@/path. It should look like ${FORM}, with reserved characters percent-encoded.`,
      ),
    );
  });

  it('is named as such where a socket has neither a colon nor an "@"', async () => {
    const error: unknown = await storageFromString('redis+unix://secret/run/redis.sock').catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).toContain(
      'The URI of a RedisStorage has something before the path of the socket. An "@" must follow user and password: redis://',
    );
    expect(String(error)).not.toContain('secret/');
  });

  it('can have it in the path of a socket and in the query', () => {
    expect(parseStorageUri('redis+unix://user:secret@/run/a@b', FORM, 6379)).toMatchObject({
      password: 'secret',
      hosts: [],
      path: '/run/a@b',
    });
    expect(parseStorageUri('mongodb://host/db?appName=@a@', FORM, 1).query.get('appName')).toBe('@a@');
  });
});
