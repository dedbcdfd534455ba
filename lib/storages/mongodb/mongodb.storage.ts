import { MongoBulkWriteError, type Binary, type MongoClient, type MongoClientOptions } from 'mongodb';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { withTimeout } from '../../common/time.js';
import { settingsKey, type SettingsStore } from '../../core/settings-store.js';
import { CasStorage, type CasStorageOptions, type Replacement, type StoredText } from '../cas/cas.storage.js';
import { assertConnection } from '../given-client.js';
import { findRemedy, type Remedies } from '../remedy.js';
import { identityKeys } from '../server.storage.js';
import { LimitsCollection, type IdentityDocument } from './limits-collection.js';
import { openMongo } from './mongodb-client.js';
import { MongoDBSettings } from './mongodb-settings.js';
import { storedBy, updateOf } from './mongodb-updates.js';

/** Options of {@link MongoDBStorage}. Other options go to the driver, and are refused with a given client. */
export interface MongoDBStorageOptions extends CasStorageOptions, MongoClientOptions {
  /**
   * Name of the database.
   *
   * @default that of the URI or your client, else `'limits'`
   */
  database?: string | undefined;
  /**
   * Name of the collection.
   *
   * @default 'rate_limits'
   */
  collection?: string | undefined;
}

const OWN_OPTIONS = ['clock', 'collection', 'database', 'keyPrefix', 'timeout'];

/** Documents that one step of `reset` deletes. */
const DOCUMENTS_PER_STEP = 1000;

/** The records of a call do not fit into one reply. */
const TOO_LARGE = 10_334;

const REMEDIES: Remedies = [
  [
    /not (the )?primary|not master/i,
    'The server is not the primary of its replica set: name all members, without directConnection.',
  ],
  [
    /not authorized|requires authentication/i,
    'Grant the user the role readWrite on the database of the limits.',
  ],
  [/authentication failed/i, 'Check user and password, and authSource.'],
];

/**
 * Counts on MongoDB, 5.0 or later, by its clock. One document per identity holds all of its limits,
 * and is replaced by compare-and-set. The server deletes expired documents by a TTL index on
 * `expireAt` that the storage creates.
 *
 * Reads and writes go to the primary, with majority concern, so that a failover loses no
 * acknowledged hit.
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
  /** Makes the server abort a command at the timeout too. */
  readonly #timeLimit = { maxTimeMS: this.timeout };

  /**
   * @param connection a URI (`mongodb://`, `mongodb+srv://`), or a client of the driver, which
   *   stays open when the storage closes
   * @throws ConfigurationError when the URI or an option is malformed; credentials never appear in
   *   a message
   */
  constructor(connection: string | MongoClient, options: MongoDBStorageOptions = {}) {
    const { keyPrefix, clock, timeout, database, collection = 'rate_limits', ...driverOptions } = options;
    super({ keyPrefix, clock, timeout }, 'server');
    assertConnection(
      'A MongoDBStorage',
      connection,
      ['connect', 'db', 'startSession'],
      'a URI or a MongoClient of the package "mongodb" (of mongoose: connection.getClient())',
    );
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
    this.#collection.ready().catch(() => undefined); // the first call reports the error
  }

  protected override remedyFor(cause: unknown): string | undefined {
    return hasNoPrimary(cause)
      ? 'The replica set has no primary: see rs.status().'
      : findRemedy(REMEDIES, cause);
  }

  override get settings(): SettingsStore {
    return new MongoDBSettings(settingsKey(this.keyPrefix), (call) =>
      this.call(() => this.#collection.use(call)),
    );
  }

  override reconnect(): void {
    if (!this.closed) this.#collection.reconnect();
  }

  protected override async read(key: string): Promise<StoredText<Binary> | undefined> {
    const [stored] = await this.readMany([key]);
    return stored;
  }

  protected override async readMany(keys: readonly string[]): Promise<StoredText<Binary>[]> {
    try {
      return await this.#readTogether(keys);
    } catch (error) {
      if ((error as { code?: unknown }).code !== TOO_LARGE || keys.length === 1) throw error;
      const middle = Math.ceil(keys.length / 2);
      const halves = [keys.slice(0, middle), keys.slice(middle)].map((half) => this.readMany(half));
      return (await Promise.all(halves)).flat();
    }
  }

  /** Reads the time even if there is no document or no collection: a facet always returns one result. */
  async #readTogether(keys: readonly string[]): Promise<StoredText<Binary>[]> {
    const pipeline = [
      { $match: { _id: { $in: keys } } },
      { $facet: { found: [{ $project: { text: 1, version: 1 } }] } },
      { $set: { now: '$$NOW' } },
    ];
    const [reading] = await this.#collection.use((collection) =>
      collection.aggregate<{ found: IdentityDocument[]; now: Date }>(pipeline, this.#timeLimit).toArray(),
    );
    if (reading === undefined) throw new Error('the server answered nothing');
    const now = reading.now.getTime();
    const found = new Map(reading.found.map(({ _id, text, version }) => [_id, { text, version, now }]));
    return keys.map((key) => found.get(key) ?? { now });
  }

  protected override async compareAndSet(
    key: string,
    text: string,
    version: Binary | undefined,
    ttl: number,
  ): Promise<boolean> {
    const [stored] = await this.compareAndSetMany([{ key, text, version, ttl }]);
    if (stored instanceof Error) throw stored;
    return stored === true;
  }

  protected override async compareAndSetMany(
    replacements: readonly Replacement<Binary>[],
  ): Promise<(boolean | Error)[]> {
    const updates = replacements.map((replacement) => ({ updateOne: updateOf(replacement) }));
    const options = { ...this.#timeLimit, ordered: false };
    return this.#collection
      .use((collection) => collection.bulkWrite(updates, options))
      .then(
        (result) => storedBy(result, [], replacements),
        (error: unknown) => {
          const isOfWrites =
            error instanceof MongoBulkWriteError && error.result.getWriteConcernError() === undefined;
          const errors = isOfWrites ? [error.writeErrors].flat() : [];
          if (!isOfWrites || errors.length === 0) throw error;
          return storedBy(error.result, errors, replacements);
        },
      );
  }

  /** Sends an update, which only a primary accepts. It matches no document, and so changes none. */
  protected override async probe(): Promise<void> {
    const noDocument = { _id: identityKeys(this.keyPrefix) };
    await this.#collection.use((collection) =>
      collection.updateOne(noDocument, { $unset: { text: '' } }, this.#timeLimit),
    );
  }

  protected override async removeAll(prefix: string): Promise<number> {
    let removed = 0;
    for (let last = ''; ;) {
      const keys = await this.keysAfter(prefix, last);
      const newest = keys.at(-1);
      if (newest === undefined) return removed;
      const step = { _id: { $in: keys } };
      const deletion = this.#collection.use((collection) => collection.deleteMany(step, this.#timeLimit));
      removed += (await deletion).deletedCount;
      last = newest;
    }
  }

  protected override async keysAfter(prefix: string, last: string): Promise<string[]> {
    const pattern = `^${prefix.replace(/[^\w\u0080-\uffff]/g, '\\$&')}`;
    const options = { projection: { _id: 1 }, sort: { _id: 1 }, limit: DOCUMENTS_PER_STEP } as const;
    const filter = { _id: { $regex: pattern, $gt: last } };
    const found = await this.#collection.use((collection) =>
      collection.find(filter, { ...options, ...this.#timeLimit }).toArray(),
    );
    return found.map(({ _id }) => _id);
  }

  protected override async release(): Promise<void> {
    await withTimeout(this.timeout, () => this.#collection.close()).catch(() => undefined);
  }
}

/** Returns true for the driver's error if it knows the members of a replica set, but none is its primary. */
function hasNoPrimary(cause: unknown): boolean {
  const { reason } = (cause ?? {}) as { reason?: { type?: unknown } | null };
  return reason?.type === 'ReplicaSetNoPrimary';
}
