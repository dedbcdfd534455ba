import { expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { ConfigurationError } from 'nestjs-limits';
import { MongoDBStorage, type MongoDBStorageOptions } from 'nestjs-limits/mongodb';
import { ManualClock } from 'nestjs-limits/testing';

/** No server listens on this port. */
const NOWHERE = 'mongodb://127.0.0.1:1';

it('A MongoDBStorage decides by the clock of the server by default', async () => {
  const storages = [{}, { clock: new ManualClock() }].map(
    (options) => new MongoDBStorage(NOWHERE, { ...options, timeout: 100 }),
  );
  expect(storages.map(({ capabilities }) => capabilities.clock)).toEqual(['server', 'local']);
  for (const storage of storages) await storage.close();
});

it('A MongoDBStorage treats an undefined option as absent', async () => {
  const own = { collection: undefined, database: undefined, timeout: undefined };
  const options = { ...own, maxPoolSize: undefined } as unknown as MongoDBStorageOptions;
  const client = new MongoClient(NOWHERE, { serverSelectionTimeoutMS: 1 });
  for (const connection of [NOWHERE, client]) {
    const storage = new MongoDBStorage(connection, options);
    expect(storage.capabilities.clock).toBe('server');
    await storage.close();
  }
  await client.close();
});

it.each(['http', 'mongodbs', 'redis'])('A MongoDBStorage throws for a URI with %s://', (scheme) => {
  expect(() => new MongoDBStorage(`${scheme}://user:secret@127.0.0.1:1`)).toThrow(
    new ConfigurationError(
      'A MongoDBStorage needs a URI of the form mongodb://user:password@host:27017,host:27017/database or ' +
        `mongodb+srv://user:password@host/database; got one with "${scheme}://".`,
    ),
  );
});
