import type { Binary, Collection, MongoClient } from 'mongodb';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { InFlightCalls } from '../../common/cancellation.js';
import { withTimeout } from '../../common/time.js';

/** The record of an identity. */
export interface IdentityDocument {
  readonly _id: string;
  /** All limits of the identity. */
  readonly text: string;
  /** Random, and another one with each write. */
  readonly version: Binary;
}

/** How often the index is seen to, in ms: whoever drops the collection drops it too, and nothing would be deleted any more. */
const INDEX_INTERVAL_MS = 60_000;

/** A client, and what there is to do until it can be used. */
interface Connection {
  readonly client: MongoClient;
  readonly collection: Collection<IdentityDocument>;
  connected: boolean;
  /** While it is under way. */
  ready: Promise<void> | undefined;
}

export interface LimitsCollectionOptions {
  readonly database: string;
  readonly collection: string;
  /** Ms that a call may take, and a write to reach the majority. */
  readonly timeout: number;
}

/** The documents of all identities, and the index by which the server deletes those that have expired. */
export class LimitsCollection {
  #connection: Connection;
  readonly #open: (() => MongoClient) | undefined;
  readonly #inFlight = new InFlightCalls();
  #indexedAt = -Infinity;
  #closed = false;

  /**
   * @param source a client of somebody else's, or what opens one
   * @throws ConfigurationError when the driver knows that a name is impossible; others the server refuses
   */
  constructor(
    source: MongoClient | (() => MongoClient),
    private readonly options: LimitsCollectionOptions,
  ) {
    this.#open = typeof source === 'function' ? source : undefined;
    try {
      this.#connection = this.#connectionOf(typeof source === 'function' ? source() : source);
    } catch (error) {
      throw new ConfigurationError(`The options of a MongoDBStorage cannot be used: ${messageOf(error)}`);
    }
  }

  /** Calls the server within the timeout, unless its client is given up meanwhile. */
  use<T>(call: (collection: Collection<IdentityDocument>) => Promise<T>): Promise<T> {
    return withTimeout(this.options.timeout, async (late) => {
      const collection = await this.ready();
      late.throwIfAborted();
      return this.#inFlight.run(() => call(collection));
    });
  }

  /** The collection, connected and with its index; rejects when it cannot be had now, and tries anew the next time. */
  async ready(): Promise<Collection<IdentityDocument>> {
    if (this.#closed) throw new Error('the client is closed');
    const connection = this.#connection;
    if (!connection.connected || this.#needsIndex) {
      connection.ready ??= this.#prepare(connection).finally(() => (connection.ready = undefined));
      await connection.ready;
    }
    return connection.collection;
  }

  /**
   * Goes on with a new client, whose connections are new: an old one that went dead would be noticed only by whoever is given
   * it, one after the other. What is under way fails, and keeps nobody waiting who comes later. A client that still connects
   * stays; should it fail, the next attempt begins at once.
   */
  reconnect(): void {
    if (this.#open === undefined) return;
    const { client, connected, ready } = this.#connection;
    if (connected) {
      this.#connection = this.#connectionOf(this.#open());
      this.#inFlight.abortAll(new Error('the connection was given up, for it did not answer'));
      client.close().catch(() => undefined);
    }
    const soon = connected || ready === undefined ? this.ready() : ready.catch(() => this.ready());
    soon.catch(() => undefined);
  }

  /** Closes the client if this storage opened it. */
  async close(): Promise<void> {
    if (this.#open === undefined) return;
    this.#closed = true;
    const { client, ready } = this.#connection;
    await client.close(); // ends an attempt to connect
    if (ready === undefined) return;
    await ready.catch(() => undefined);
    await client.close(); // for an attempt that had not got as far as its first connection
  }

  get #needsIndex(): boolean {
    return performance.now() - this.#indexedAt > INDEX_INTERVAL_MS;
  }

  #connectionOf(client: MongoClient): Connection {
    const { database, collection, timeout } = this.options;
    return {
      client,
      collection: client.db(database).collection<IdentityDocument>(collection, {
        readPreference: 'primary',
        readConcern: { level: 'majority' },
        writeConcern: { w: 'majority', wtimeoutMS: timeout },
      }),
      connected: false,
      ready: undefined,
    };
  }

  async #prepare(connection: Connection): Promise<void> {
    // Only until it has succeeded: a client whose first connection failed stays useless otherwise, and one that somebody
    // has closed would be opened again.
    if (!connection.connected) await connection.client.connect();
    connection.connected = true;
    if (!this.#needsIndex) return;
    await connection.collection.createIndexes([{ key: { expireAt: 1 }, expireAfterSeconds: 0 }]);
    this.#indexedAt = performance.now();
  }
}
