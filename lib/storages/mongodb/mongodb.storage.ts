import { UUID, type Binary, type Document, type MongoClient, type MongoClientOptions } from 'mongodb';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { withTimeout } from '../../common/time.js';
import { CasStorage, type CasStorageOptions, type StoredText } from '../cas/cas.storage.js';
import { identityKeys } from '../server.storage.js';
import { LimitsCollection, type IdentityDocument } from './limits-collection.js';
import { openMongo } from './mongodb-client.js';

/** Options of {@link MongoDBStorage}; those not named here go to the driver, and are not for a given client. */
export interface MongoDBStorageOptions extends CasStorageOptions, MongoClientOptions {
  /** Default: the one that the URI names, else `'limits'`; that of a given client. */
  database?: string | undefined;
  /** Default: `'rate_limits'`. */
  collection?: string | undefined;
}

const OWN_OPTIONS = ['clock', 'collection', 'database', 'keyPrefix', 'timeout'];

/** How many documents one step of `reset` deletes. */
const DOCUMENTS_PER_STEP = 1000;

/** The server deletes expired documents once a minute, so that an `expireAt` is moved by no less. */
const MIN_SLACK_MS = 60_000;

const DUPLICATE_KEY = 11_000;

/**
 * Counts on MongoDB, 5.0 or later, by its clock: one document per identity, which holds all of its limits and is replaced if nobody
 * was faster. The server itself deletes what has expired, by an index on `expireAt` that the storage creates.
 *
 * Reads and writes go to the primary and are those of the majority, so that no failover takes anything back.
 *
 * @example
 * ```ts
 * import { parse, SlidingWindowCounterRateLimiter } from 'nestjs-limits';
 * import { MongoDBStorage } from 'nestjs-limits/mongodb';
 *
 * const storage = new MongoDBStorage('mongodb://localhost:27017/app', { collection: 'limits', timeout: 500 });
 * const limiter = new SlidingWindowCounterRateLimiter(storage);
 * const allowed = await limiter.hit(parse('10/minute'), 'user', '42');
 * ```
 */
export class MongoDBStorage extends CasStorage<Binary> {
  readonly #collection: LimitsCollection;
  /** The server gives up what takes too long, too. */
  readonly #bounded = { maxTimeMS: this.timeout };

  /**
   * @param connection a URI (`mongodb://`, `mongodb+srv://`), or a client of the driver, which stays open when the storage closes
   * @throws ConfigurationError when the URI or an option is malformed; credentials never appear in a message
   */
  constructor(connection: string | MongoClient, options: MongoDBStorageOptions = {}) {
    const { keyPrefix, clock, timeout, database, collection = 'rate_limits', ...driverOptions } = options;
    super({ keyPrefix, clock, timeout }, 'server');
    if (typeof connection !== 'string')
      assertKnownOptions('A MongoDBStorage on a given client', withoutUndefined(options), OWN_OPTIONS);
    const opened =
      typeof connection === 'string'
        ? openMongo(connection, this.timeout, driverOptions)
        : { open: connection, database: connection.options.dbName };
    this.#collection = new LimitsCollection(opened.open, {
      database: database ?? opened.database,
      collection,
      timeout: this.timeout,
    });
    this.#collection.ready().catch(() => undefined); // the first call will say what is wrong
  }

  override reconnect(): void {
    if (!this.closed) this.#collection.reconnect();
  }

  /** A facet answers even where there is no document, or no collection: with the time. */
  protected override async read(key: string): Promise<StoredText<Binary>> {
    const pipeline = [
      { $match: { _id: key } },
      { $facet: { found: [{ $project: { _id: 0, text: 1, version: 1 } }] } },
      { $set: { now: '$$NOW' } },
    ];
    const [reading] = await this.#collection.use((collection) =>
      collection
        .aggregate<{ found: Partial<IdentityDocument>[]; now: Date }>(pipeline, this.#bounded)
        .toArray(),
    );
    if (reading === undefined) throw new Error('the server answered nothing');
    return { ...reading.found[0], now: reading.now.getTime() };
  }

  protected override async compareAndSet(
    key: string,
    text: string,
    version: Binary | undefined,
    ttl: number,
  ): Promise<boolean> {
    const isNew = version === undefined;
    const filter = { _id: key, version: isNew ? { $exists: false } : version };
    const fields = { text: { $literal: text }, version: new UUID().toBinary(), expireAt: expiryIn(ttl) };
    try {
      const { matchedCount, upsertedCount } = await this.#collection.use((collection) =>
        collection.updateOne(filter, [{ $set: fields }], { ...this.#bounded, upsert: isNew }),
      );
      return matchedCount + upsertedCount === 1;
    } catch (error) {
      if ((error as { code?: unknown }).code === DUPLICATE_KEY) return false; // somebody else has created it
      throw error;
    }
  }

  /** A primary takes updates. This one finds no document, and so leaves none. */
  protected override async probe(): Promise<void> {
    const nobody = { _id: identityKeys(this.keyPrefix) };
    await this.#collection.use((collection) =>
      collection.updateOne(nobody, { $unset: { text: '' } }, this.#bounded),
    );
  }

  protected override async removeAll(beginning: string): Promise<number> {
    let removed = 0;
    for (let keys = await this.#keysAfter('', beginning); keys.length > 0;) {
      const some = { _id: { $in: keys } };
      const deletion = this.#collection.use((collection) => collection.deleteMany(some, this.#bounded));
      removed += (await deletion).deletedCount;
      keys = await this.#keysAfter(keys.at(-1) ?? '', beginning);
    }
    return removed;
  }

  protected override async release(): Promise<void> {
    await withTimeout(this.timeout, () => this.#collection.close()).catch(() => undefined);
  }

  /** The first of the keys that begin so after a given one. */
  async #keysAfter(key: string, beginning: string): Promise<string[]> {
    const prefix = beginning.replace(/[^\w\u0080-\uffff]/g, '\\$&');
    const options = { projection: { _id: 1 }, sort: { _id: 1 }, limit: DOCUMENTS_PER_STEP } as const;
    const documents = await this.#collection.use((collection) =>
      collection
        .find({ _id: { $regex: `^${prefix}`, $gt: key } }, { ...options, ...this.#bounded })
        .toArray(),
    );
    return documents.map(({ _id }) => _id);
  }
}

/** When the server may delete a document, by its clock: later than need be, so that few writes move it and touch the index. */
function expiryIn(ttl: number): Document {
  const slack = Math.max(MIN_SLACK_MS, Math.ceil(ttl / 4));
  const [soonest, latest] = [ttl, ttl + slack].map((ms) => ({ $add: ['$$NOW', ms] }));
  return { $cond: [{ $gte: ['$expireAt', soonest] }, '$expireAt', latest] };
}
