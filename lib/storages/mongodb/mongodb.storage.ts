import {
  MongoBulkWriteError,
  MongoServerError,
  UUID,
  type Binary,
  type BulkWriteResult,
  type Document,
  type MongoClient,
  type MongoClientOptions,
  type UpdateOneModel,
  type WriteError,
} from 'mongodb';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { withTimeout } from '../../common/time.js';
import { CasStorage, type CasStorageOptions, type Replacement, type StoredText } from '../cas/cas.storage.js';
import { assertConnection } from '../given-client.js';
import { findRemedy, type Remedies } from '../remedy.js';
import { identityKeys } from '../server.storage.js';
import { LimitsCollection, type IdentityDocument } from './limits-collection.js';
import { openMongo } from './mongodb-client.js';

/** Options of {@link MongoDBStorage}. Other options go to the driver, and are refused with a given client. */
export interface MongoDBStorageOptions extends CasStorageOptions, MongoClientOptions {
  /** Name of the database. Default: that of the URI or the given client, else `'limits'`. */
  database?: string | undefined;
  /** Name of the collection. Default: `'rate_limits'`. */
  collection?: string | undefined;
}

const OWN_OPTIONS = ['clock', 'collection', 'database', 'keyPrefix', 'timeout'];

/** Documents that one step of `reset` deletes. */
const DOCUMENTS_PER_STEP = 1000;

/** Shortest slack of `expireAt`, in ms. The server deletes expired documents only once a minute. */
const MIN_SLACK_MS = 60_000;

const DUPLICATE_KEY = 11_000;

/** The text of a record without cells. */
const EMPTY_RECORD = '{}';

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

  override reconnect(): void {
    if (!this.closed) this.#collection.reconnect();
  }

  protected override async read(key: string): Promise<StoredText<Binary> | undefined> {
    const [stored] = await this.readMany([key]);
    return stored;
  }

  /** Reads the time even if there is no document or no collection: a facet always returns one result. */
  protected override async readMany(keys: readonly string[]): Promise<StoredText<Binary>[]> {
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
      if (keys.length === 0) return removed;
      const step = { _id: { $in: keys } };
      const deletion = this.#collection.use((collection) => collection.deleteMany(step, this.#timeLimit));
      removed += (await deletion).deletedCount;
      last = keys.at(-1) ?? '';
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

/**
 * Returns the update of one document. With `upsert`, a lost race is a duplicate key, and the server
 * reports which update caused it; of updates that match nothing it reports only the number. A
 * document that was deleted after it was read comes back empty.
 */
function updateOf({ key, text, version, ttl }: Replacement<Binary>): UpdateOneModel<IdentityDocument> {
  const isNew = version === undefined;
  const literal = { $literal: text };
  const fields = {
    text: isNew ? literal : { $cond: ['$text', literal, EMPTY_RECORD] },
    version: new UUID().toBinary(),
    expireAt: expiryIn(ttl),
  };
  const filter = { _id: key, version: isNew ? { $exists: false } : version };
  return { filter, update: [{ $set: fields }], upsert: true };
}

/** Returns for each replacement whether it was stored, or its error. */
function storedBy(
  { upsertedIds }: BulkWriteResult,
  errors: readonly WriteError[],
  replacements: readonly Replacement<Binary>[],
): (boolean | Error)[] {
  const errorAt = new Map(errors.map((error) => [error.index, error]));
  return replacements.map(({ version }, index) => {
    const { code, errmsg = 'the server refused the write' } = errorAt.get(index) ?? {};
    if (code === undefined) return version === undefined || upsertedIds[index] === undefined;
    return code === DUPLICATE_KEY ? false : new MongoServerError({ message: errmsg, code });
  });
}

/**
 * Returns the time at which the server may delete a document. Slack keeps most writes from moving
 * it and updating the index.
 */
function expiryIn(ttl: number): Document {
  const slack = Math.max(MIN_SLACK_MS, Math.ceil(ttl / 4));
  const [earliest, latest] = [ttl, ttl + slack].map((ms) => ({ $add: ['$$NOW', ms] }));
  return { $cond: [{ $gte: ['$expireAt', earliest] }, '$expireAt', latest] };
}
