import { describe } from '@jest/globals';

/** The servers that a run shares; Jest's globalSetup starts them. */
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

/** Where a shared server is; `undefined` when there is none, which only MongoDB's can be. */
export function serverUri(name: ServerName): string | undefined {
  if (process.env['TEST_SERVERS_DIR'] === undefined) {
    throw new Error(
      'No servers were started: jest.config.mjs names the folders and files of the tests that need some.',
    );
  }
  return process.env[`TEST_${name}_URI`];
}

/** Describes what happens on a shared server; where there is none, all of it is skipped, and says why. */
export function describeOn(name: ServerName, title: string, body: (uri: string) => void): void {
  const uri = serverUri(name);
  if (uri === undefined) describe.skip(`${title} (skipped: no ${name} server to be had)`, () => body(''));
  else describe(title, () => body(uri));
}

/** Describes what happens on private MongoDB servers (`startMongo`); skipped where there is no program to start. */
export function describeWithMongod(title: string, body: () => void): void {
  if (process.env['TEST_MONGOD_BIN'] === undefined)
    describe.skip(`${title} (skipped: no mongod to be had)`, body);
  else describe(title, body);
}
