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
  /** Random, and changed by each write. */
  readonly version: Binary;
}

/**
 * Interval in ms at which the index is created again. Dropping the collection drops it, and
 * documents would never expire.
 */
const INDEX_INTERVAL_MS = 60_000;

/** A client, its collection, and the state of its connection. */
interface Connection {
  readonly client: MongoClient;
  readonly collection: Collection<IdentityDocument>;
  connected: boolean;
  /** The attempt to connect, while it is in flight. */
  ready: Promise<void> | undefined;
}

export interface LimitsCollectionOptions {
  readonly database: string;
  readonly collection: string;
  /** Timeout in ms of a call, and of the majority's acknowledgement of a write. */
  readonly timeout: number;
}

/** The collection of all identities' documents, with the TTL index that makes the server delete expired ones. */
export class LimitsCollection {
  #connection: Connection;
  readonly #open: (() => MongoClient) | undefined;
  readonly #inFlight = new InFlightCalls();
  #indexedAt = -Infinity;
  #closed = false;

  /**
   * @param source a given client, or a function that opens one
   * @throws ConfigurationError when the driver rejects a name; the server may reject others later
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

  /** Calls the server within the timeout. Rejects early if the client is replaced. */
  use<T>(call: (collection: Collection<IdentityDocument>) => Promise<T>): Promise<T> {
    return withTimeout(this.options.timeout, async (signal) => {
      const collection = await this.ready();
      signal.throwIfAborted();
      return this.#inFlight.run(() => call(collection));
    });
  }

  /** Returns the collection once it is connected and has its index. A later call retries after a failure. */
  async ready(): Promise<Collection<IdentityDocument>> {
    if (this.#closed) throw new Error('the client is closed');
    const connection = this.#connection;
    if (!connection.connected || performance.now() - this.#indexedAt > INDEX_INTERVAL_MS) {
      connection.ready ??= this.#prepare(connection).finally(() => (connection.ready = undefined));
      await connection.ready;
    }
    return connection.collection;
  }

  /**
   * Replaces a connected client, and so all pooled connections. Otherwise each dead connection
   * would fail one call before it is noticed. Calls in flight reject, so that they do not delay
   * later ones. A client that is still connecting is kept; if it fails, the next attempt begins
   * immediately.
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
    await ready?.catch(() => undefined);
    await client.close(); // the attempt may have opened its first connection after the first close
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
    // A client whose first connection failed must connect again. A connected one must not: its
    // owner may have closed it.
    if (!connection.connected) await connection.client.connect();
    connection.connected = true;
    await connection.collection.createIndexes([{ key: { expireAt: 1 }, expireAfterSeconds: 0 }]);
    this.#indexedAt = performance.now();
  }
}
