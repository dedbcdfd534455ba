import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import { ConfigurationError } from 'nestjs-limits';
import { EtcdStorage, type EtcdStorageOptions } from 'nestjs-limits/etcd';
import { openEtcd, type EtcdClientOptions } from '../../../lib/storages/etcd/etcd-client.js';

describe('the URI', () => {
  it.each<[string, string[]]>([
    ['etcd://localhost', ['localhost:2379']],
    ['etcd://10.0.0.1:2380/', ['10.0.0.1:2380']],
    ['etcd://a,b:23790,c', ['a:2379', 'b:23790', 'c:2379']],
    ['etcd://[::1]:23790,[fe80::1]', ['[::1]:23790', '[fe80::1]:2379']],
    ['async+etcd://localhost:1', ['localhost:1']],
    ['ETCD://localhost', ['localhost:2379']],
  ])('%s names the servers %j', (uri, hosts) => {
    expect(optionsOf(uri)).toMatchObject({ hosts });
    expect(optionsOf(uri)).not.toHaveProperty('auth');
  });

  it('has the user and the password percent-encoded', () => {
    expect(optionsOf('etcd://l%40mit%3Aer:p%2F:w%C3%B6rd@localhost')).toMatchObject({
      auth: { username: 'l@mit:er', password: 'p/:wörd' },
    });
  });

  it.each([
    'etcd://',
    'etcd:///path',
    'etcd://localhost/path',
    'etcd://localhost:port',
    'etcd://localhost:65536',
    'etcd://localhost?timeout=5',
    'etcd://a,,b',
    'etcds://localhost',
    'redis://localhost',
    'localhost:2379',
    'etcd://user@localhost',
    'etcd://:secret@localhost',
    'etcd://user:%secret@localhost',
    'etcd://user:secret@localhost/path',
  ])('%s causes a ConfigurationError that does not show it', (uri) => {
    let error: unknown;
    try {
      new EtcdStorage(uri);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: 'ConfigurationError', code: 'ERR_RATE_LIMIT_CONFIGURATION' });
    expect(error).toHaveProperty(
      'message',
      expect.stringContaining(
        'etcd://[user:password@]host:port,host:port (for TLS, the option "credentials")',
      ),
    );
    expect(String(error)).not.toMatch(/secret|localhost/);
  });
});

describe('options', () => {
  it('go to the driver, and override the URI', () => {
    const credentials = { rootCertificate: Buffer.from('certificate') };
    const auth = { username: 'other', password: 'other' };
    const grpcOptions = { 'grpc.max_reconnect_backoff_ms': 50, 'grpc.ssl_target_name_override': 'etcd' };
    expect(optionsOf('etcd://user:password@localhost', { credentials, auth, grpcOptions })).toMatchObject({
      credentials,
      auth,
      grpcOptions: { 'grpc.initial_reconnect_backoff_ms': 100, ...grpcOptions },
    });
  });

  it('that are undefined have no effect', () => {
    const options = { auth: undefined, grpcOptions: undefined } as unknown as EtcdClientOptions;
    expect(optionsOf('etcd://user:password@localhost', options)).toMatchObject({
      auth: { username: 'user', password: 'password' },
      grpcOptions: { 'grpc.initial_reconnect_backoff_ms': 100 },
    });
  });

  it('cannot make the driver send calls again', () => {
    const faultHandling = { global: 'retry' };
    const options = optionsOf('etcd://localhost', { faultHandling } as EtcdClientOptions);
    expect(options).not.toMatchObject({ faultHandling });
  });

  it('of the driver throw with a given client', () => {
    const client = new Etcd3({ hosts: '127.0.0.1:1' });
    const grpcOptions = { 'grpc.max_reconnect_backoff_ms': 50 };
    expect(() => new EtcdStorage(client, { timeout: 500, grpcOptions })).toThrow(
      new ConfigurationError(
        'An EtcdStorage on a given client does not know the option "grpcOptions". Known options: clock, keyPrefix, timeout.',
      ),
    );
    const absent = { timeout: undefined, grpcOptions: undefined } as unknown as EtcdStorageOptions;
    expect(() => new EtcdStorage(client, absent)).not.toThrow();
    client.close();
  });

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 31, '1000'])(
    'with a timeout of %p throw a ConfigurationError',
    (timeout) => {
      expect(() => new EtcdStorage('etcd://localhost', { timeout: timeout as number })).toThrow(
        'The timeout of EtcdStorage in ms must be a whole number from 1 to 2147483647; got',
      );
    },
  );
});

describe('an EtcdStorage', () => {
  it('shows no credentials', async () => {
    const storage = new EtcdStorage('etcd://user:secret@localhost');
    expect(String(storage)).toBe('EtcdStorage');
    expect(JSON.stringify(storage)).not.toContain('secret');
    expect(inspect(storage, { depth: Infinity, showHidden: true })).not.toContain('secret');
    await storage.close();
  });

  it('decides whole batches by the clock of this process', () => {
    expect(new EtcdStorage('etcd://localhost').capabilities).toEqual({
      atomicity: 'batch',
      clock: 'local',
      strategies: [
        'fixed-window',
        'fixed-window-elastic-expiry',
        'calendar-window',
        'moving-window',
        'sliding-window-counter',
        'token-bucket',
      ],
      maxMovingWindow: 10_000,
    });
  });
});

/** The options of the driver. */
function optionsOf(uri: string, options: EtcdClientOptions = {}): unknown {
  const client = openEtcd(uri, options, 1000);
  client.close();
  return (client as unknown as { options: unknown }).options;
}
