import { describe } from '@jest/globals';

/** The shared servers of a run. Jest's globalSetup starts them. */
export type ServerName =
  | 'REDIS'
  | 'REDIS_TLS'
  | 'REDIS_UNIX'
  | 'REDIS_CLUSTER'
  | 'REDIS_SENTINEL'
  | 'MEMCACHED'
  | 'MEMCACHED_UNIX'
  | 'ETCD'
  | 'POSTGRESQL'
  | 'PGBOUNCER'
  | 'MONGODB'
  | 'MONGODB_REPLICA';

/**
 * Returns the URI of a shared server; `undefined` if there is none. Only MongoDB's can be missing.
 */
export function serverUri(name: ServerName): string | undefined {
  if (process.env['TEST_SERVERS_DIR'] === undefined) {
    throw new Error(
      'No servers were started: jest.config.mjs names the folders and files of the tests that need some.',
    );
  }
  return process.env[`TEST_${name}_URI`];
}

/** Describes tests on a shared server. They are skipped with a reason if there is none. */
export function describeOn(name: ServerName, title: string, body: (uri: string) => void): void {
  const uri = serverUri(name);
  if (uri === undefined) describe.skip(`${title} (skipped: no ${name} server available)`, () => body(''));
  else describe(title, () => body(uri));
}

/**
 * Describes tests on private MongoDB servers (`startMongo`). They are skipped if there is no
 * program to start.
 */
export function describeWithMongod(title: string, body: () => void): void {
  if (process.env['TEST_MONGOD_BIN'] === undefined)
    describe.skip(`${title} (skipped: no mongod available)`, body);
  else describe(title, body);
}

/** Describes tests in Chromium, whose program they get. They are skipped if there is none. */
export function describeInChromium(title: string, body: (program: string) => void): void {
  const program = process.env['TEST_CHROMIUM_BIN'];
  if (program === undefined) describe.skip(`${title} (skipped: no chromium available)`, () => body(''));
  else describe(title, () => body(program));
}
