import { MongoClient } from 'mongodb';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, serverDirectory, startServer, until, type Server } from './server-process.js';

/**
 * Starts the MongoDB server that the run has found (see `describeWithMongod`).
 *
 * @param options.replica true for a replica set of one server
 */
export async function startMongo({
  replica = false,
  args = [],
}: { replica?: boolean; args?: readonly string[] } = {}): Promise<Server> {
  const command = process.env['TEST_MONGOD_BIN'];
  if (command === undefined) throw new Error('There is no mongod to start.');
  const directory = serverDirectory('mongod');
  const data = join(directory, 'data');
  mkdirSync(data);
  const port = await freePort();
  return startServer({
    name: 'mongod',
    command,
    args: [
      ...['--port', String(port), '--bind_ip', '127.0.0.1', '--dbpath', data],
      ...(replica ? ['--replSet', 'rs0'] : []),
      ...args,
    ],
    directory,
    port,
    uri: `mongodb://127.0.0.1:${port}/test${replica ? '?replicaSet=rs0' : ''}`,
    ready: () =>
      withMongo(`mongodb://127.0.0.1:${port}/?directConnection=true`, async (client) => {
        const admin = client.db('admin');
        await admin.command({ ping: 1 });
        if (replica) await initiate(client, port);
        return true;
      }),
  });
}

/** Passes a client to a function, and closes it afterwards. */
export async function withMongo<T>(uri: string, use: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 2000 });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

const ALREADY_INITIALIZED = 23;

async function initiate(client: MongoClient, port: number): Promise<void> {
  const admin = client.db('admin');
  const config = { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${port}` }] };
  try {
    await admin.command({ replSetInitiate: config });
  } catch (error) {
    if ((error as { code?: unknown }).code !== ALREADY_INITIALIZED) throw error;
  }
  await until(
    async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === true,
    'the replica set to have a primary',
  );
}
