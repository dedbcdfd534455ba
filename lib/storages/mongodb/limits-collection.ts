import type { Collection, Db, MongoClient } from 'mongodb';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';

/** An identity's document, of which only its key is of interest outside a pipeline. */
export interface IdentityDocument {
  readonly _id: string;
}

/** How often the index is seen to, in ms: whoever drops the collection drops it too, and nothing would be deleted any more. */
const INDEX_INTERVAL = 60_000;

/** The documents of all identities, and the index by which the server deletes those that have expired. */
export class LimitsCollection {
  readonly #database: Db;
  readonly #collection: Collection<IdentityDocument>;
  #ready: Promise<void> | undefined;
  #connected = false;
  #indexedAt = -Infinity;

  /**
   * @param timeout ms that a write may take to reach the majority
   * @throws ConfigurationError when the driver knows that a name is impossible; others the server refuses
   */
  constructor(
    private readonly client: MongoClient,
    { database, collection, timeout }: { database: string; collection: string; timeout: number },
  ) {
    try {
      this.#database = client.db(database);
      this.#collection = this.#database.collection<IdentityDocument>(collection, {
        readPreference: 'primary',
        readConcern: { level: 'majority' },
        writeConcern: { w: 'majority', wtimeoutMS: timeout },
        promoteValues: true,
      });
    } catch (error) {
      throw new ConfigurationError(`The options of a MongoDBStorage cannot be used: ${messageOf(error)}`);
    }
  }

  /** The collection, connected and with its index; rejects when it cannot be had now, and tries anew the next time. */
  async ready(): Promise<Collection<IdentityDocument>> {
    if (performance.now() - this.#indexedAt > INDEX_INTERVAL) {
      this.#ready ??= this.#prepare().finally(() => (this.#ready = undefined));
      await this.#ready;
    }
    return this.#collection;
  }

  /** Whether the server answers. */
  async ping(): Promise<boolean> {
    return (await this.#database.command({ ping: 1 }))['ok'] === 1;
  }

  /** The server's time in epoch ms; a document that is read tells it as well. */
  async time(): Promise<number> {
    return ((await this.#database.command({ hello: 1 }))['localTime'] as Date).getTime();
  }

  /** Closes the client; not while it connects, which it would go on with. */
  async close(): Promise<void> {
    await this.#ready?.catch(() => undefined);
    await this.client.close();
  }

  async #prepare(): Promise<void> {
    // Only until it has succeeded: a client whose first connection failed stays useless otherwise, and one that somebody
    // has closed would be opened again.
    if (!this.#connected) await this.client.connect();
    this.#connected = true;
    await this.#collection.createIndexes([{ key: { expireAt: 1 }, expireAfterSeconds: 0 }]);
    this.#indexedAt = performance.now();
  }
}
