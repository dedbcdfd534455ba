import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import { parseMemcachedUri } from '../../../lib/storages/memcached/memcached-uri.js';

function at(host: string, port: number, name = `${host}:${port}`): unknown {
  return { name, address: { host, port } };
}

const servers: Readonly<Record<string, readonly unknown[]>> = {
  'memcached://localhost:11212': [at('localhost', 11212)],
  'memcached://localhost': [at('localhost', 11211)],
  'memcached://localhost/': [at('localhost', 11211)],
  'memcached://10.0.0.1,10.0.0.2:1': [at('10.0.0.1', 11211), at('10.0.0.2', 1)],
  'memcached://[::1],[fe80::1]:65535': [
    at('::1', 11211, '[::1]:11211'),
    at('fe80::1', 65535, '[fe80::1]:65535'),
  ],
  'gaememcached://cache:11211': [at('cache', 11211)],
  'async+memcached://localhost': [at('localhost', 11211)],
  'MEMCACHED://localhost': [at('localhost', 11211)],
  'memcached:///run/memcached.sock': [
    { name: '/run/memcached.sock', address: { path: '/run/memcached.sock' } },
  ],
  'memcached:///run/my%20own/a,b@c': [{ name: '/run/my own/a,b@c', address: { path: '/run/my own/a,b@c' } }],
};

describe('the URI of a Memcached storage', () => {
  it.each(Object.entries(servers))('%s names its servers', (uri, expected) => {
    expect(parseMemcachedUri(uri)).toEqual({ servers: expected, credentials: undefined });
  });

  it.each(['memcached://me%40here:s%2F%3A%20@localhost', 'memcached://me%40here:s%2F%3A%20@/run/socket'])(
    '%s has credentials, which are percent-decoded',
    (uri) => {
      expect(parseMemcachedUri(uri).credentials).toEqual({ username: 'me@here', password: 's/: ' });
    },
  );

  it.each([
    '',
    'memcached',
    'memcached://',
    'memcached:///',
    'memcached://me:secret@',
    'memcached://me:secret@/',
    'redis://me:secret@localhost',
    'gae://me:secret@localhost',
    'memcacheds://me:secret@localhost',
    'memcached://me:secret@localhost:0',
    'memcached://me:secret@localhost:65536',
    'memcached://me:secret@localhost:port',
    'memcached://me:secret@localhost,,localhost',
    'memcached://me:secret@localhost/path',
    'memcached://me:secret@localhost?timeout=5',
    'memcached://me:secret@::1',
    'memcached://me:secret%@localhost',
    'memcached://secret@localhost',
    'memcached://:secret@localhost',
    'memcached://me:sec/ret@localhost',
  ])('%j throws without being shown', (uri) => {
    const parse = (): unknown => parseMemcachedUri(uri);
    expect(parse).toThrow(ConfigurationError);
    expect(parse).toThrow(/should look like memcached:\/\/\[user:password@\]host:port,host:port or /);
    expect(parse).toThrow('(for TLS, the option "tls")');
    expect(parse).not.toThrow(/secret|ret@|65536/);
  });
});
