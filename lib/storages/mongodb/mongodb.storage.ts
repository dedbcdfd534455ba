import type { Collection, MongoClient, MongoClientOptions } from 'mongodb';
import type { Clock } from '../../common/clock.js';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import type { MongoExpression } from './strategies/mongo-strategy.js';
import { strategyNames } from '../../strategies/strategies.js';
import { consumeInParts, joinResults, partition } from '../consume-in-parts.js';
import type { BatchResult, Block, Cell, Hit, Refund, StorageCapabilities } from '../../core/contract.js';
import { identityKey, identityKeys } from '../server.storage.js';
import { closedError, failureOf, Storage, type StorageOptions } from '../../core/storage.js';
import { assertTimeout, DEFAULT_TIMEOUT_MS, withTimeout } from '../../common/timeout.js';
import { consumed, looked, type BatchAnswer } from './batch-answer.js';
import {
  blockPipeline,
  consumePipeline,
  readProjection,
  refundPipeline,
  serverClock,
  variables,
} from './batch-pipeline.js';
import { InFlightCalls } from './in-flight-calls.js';
import { blockField, stateField } from './limit-expressions.js';
import { LimitsCollection, type IdentityDocument } from './limits-collection.js';
import { literal } from './literal.js';
import { openMongo } from './mongodb-client.js';
import { KeyedSemaphore } from './keyed-semaphore.js';

/** Options of {@link MongoDBStorage}; those not named here go to the driver, and are not for a given client. */
export interface MongoDBStorageOptions extends StorageOptions, MongoClientOptions {
  /** Default: the one that the URI names, else `'limits'`; that of a given client. */
  database?: string | undefined;
  /** Default: `'rate_limits'`. */
  collection?: string | undefined;
  /** Ms that a call may take, the first connection included; what fails then may still be counted. Default: 1000. */
  timeout?: number | undefined;
}

const OWN_OPTIONS = ['clock', 'collection', 'database', 'keyPrefix', 'timeout'];
const DEFAULT_COLLECTION = 'rate_limits';

/** How many documents one step of `reset` deletes. */
const DOCUMENTS_PER_STEP = 1000;

/**
 * How many updates of one document are sent at once. They come one after the other anyway, and with more of them, those of one
 * busy identity would take all connections and keep everybody else waiting.
 */
const UPDATES_AT_ONCE = 8;

/** How often the creation of a document is tried while others create it too. */
const MAX_ATTEMPTS = 8;
const DUPLICATE_KEY = 11_000;

/**
 * Counts on MongoDB, 5.0 or later, by its clock: one document per identity, and one atomic update for all of its limits. The
 * server itself deletes what has expired, by an index on `expireAt` that the storage creates.
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
export class MongoDBStorage extends Storage {
  override readonly capabilities: StorageCapabilities;
  readonly #collection: LimitsCollection;
  readonly #timeout: number;
  readonly #underWay = new InFlightCalls();
  readonly #turnstile = new KeyedSemaphore(UPDATES_AT_ONCE);
  /** Tells the time instead of the server. */
  readonly #givenClock: Clock | undefined;
  readonly #serverClock: MongoExpression;
  #closed = false;

  /**
   * @param connection a URI (`mongodb://`, `mongodb+srv://`), or a client of the driver, which stays open when the storage closes
   * @throws ConfigurationError when the URI or an option is malformed; credentials never appear in a message
   */
  constructor(connection: string | MongoClient, options: MongoDBStorageOptions = {}) {
    const {
      keyPrefix,
      clock,
      database,
      collection,
      timeout = DEFAULT_TIMEOUT_MS,
      ...driverOptions
    } = options;
    super({ keyPrefix, clock });
    assertTimeout(String(this), timeout);
    if (typeof connection !== 'string')
      assertKnownOptions('A MongoDBStorage on a given client', withoutUndefined(options), OWN_OPTIONS);
    this.capabilities = {
      atomicity: 'identity',
      clock: clock === undefined ? 'server' : 'local',
      strategies: strategyNames,
      maxMovingWindow: 10_000,
    };
    const opened =
      typeof connection === 'string'
        ? openMongo(connection, timeout, driverOptions)
        : { open: connection, database: connection.options.dbName };
    this.#collection = new LimitsCollection(opened.open, {
      database: database ?? opened.database,
      collection: collection ?? DEFAULT_COLLECTION,
      timeout,
    });
    this.#timeout = timeout;
    this.#givenClock = clock;
    this.#serverClock = serverClock(timeout);
    this.#collection.ready().catch(() => undefined); // the first call will say what is wrong
  }

  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    const parts = partition(batch, identityOf);
    return parts.length === 1
      ? this.#consumePart(batch)
      : consumeInParts(
          batch,
          parts,
          (part) => this.#consumePart(part),
          (refunds) => this.refund(refunds),
        );
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const parts = partition(batch, identityOf).map((part) => this.#peekPart(part));
    return joinResults(batch, await Promise.all(parts));
  }

  override async refund(refunds: readonly Refund[]): Promise<void> {
    await this.#updateEach(refunds, (part) => refundPipeline(part, this.#now()));
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    const updates = partition(blocks, identityOf).map((part) => {
      const _id = this.#keyOf(part);
      const options = { ...this.#bounded, upsert: part.some(({ duration }) => duration > 0) };
      return this.#update(_id, (collection, late) =>
        untilNotDuplicate(late, () =>
          collection.updateOne({ _id }, blockPipeline(part, this.#now()), options),
        ),
      );
    });
    await Promise.all(updates);
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    await this.#updateEach(cells, (part) => {
      const fields = part.flatMap(({ limit }) => [stateField(limit), blockField(limit)]);
      return [{ $unset: fields.map((field) => `cells.${field}`) }];
    });
  }

  /** Whether a primary takes updates. The one that is tried finds no document, and so leaves none. */
  override async check(): Promise<boolean> {
    const nobody = { _id: identityKeys(this.keyPrefix) };
    try {
      await this.#call((collection) =>
        collection.updateOne(nobody, { $unset: { cells: '' } }, this.#bounded),
      );
      return true;
    } catch {
      return false;
    }
  }

  override async reset(): Promise<number> {
    let removed = 0;
    let keys = await this.#keysAfter('');
    while (keys.length > 0) {
      const some = { _id: { $in: keys } };
      removed += (await this.#call((collection) => collection.deleteMany(some, this.#bounded))).deletedCount;
      keys = await this.#keysAfter(keys.at(-1) ?? '');
    }
    return removed;
  }

  override async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await withTimeout(this.#timeout, () => this.#collection.close()).catch(() => undefined);
  }

  override reconnect(): void {
    if (this.#closed || !this.#collection.reconnect()) return;
    // Or they would keep their turns from those who come later.
    this.#underWay.giveUp(new Error('the connection was given up, for it did not answer'));
  }

  async #consumePart(part: readonly Hit[]): Promise<BatchResult> {
    const now = this.#now();
    const _id = this.#keyOf(part);
    const answer = await this.#update(_id, async (collection, late) =>
      asAnswer(
        await untilNotDuplicate(late, () =>
          collection.findOneAndUpdate({ _id }, consumePipeline(part, now), {
            ...this.#bounded,
            upsert: true,
            returnDocument: 'after',
            projection: readProjection(part, now),
            let: variables(part),
          }),
        ),
      ),
    );
    return consumed(part, answer);
  }

  async #peekPart(part: readonly Hit[]): Promise<BatchResult> {
    const answer = await this.#call(async (collection) => {
      const options = {
        ...this.#bounded,
        projection: readProjection(part, this.#now()),
        let: variables(part),
      };
      const found = await collection.findOne<BatchAnswer>({ _id: this.#keyOf(part) }, options);
      return found ?? { now: this.#givenClock?.now() ?? (await this.#collection.time()) };
    });
    return looked(part, answer);
  }

  /** Updates the document of each identity, if there is one. */
  async #updateEach<C extends Cell>(
    cells: readonly C[],
    pipeline: (part: readonly C[]) => Record<string, object>[],
  ): Promise<void> {
    const updates = partition(cells, identityOf).map((part) => {
      const _id = this.#keyOf(part);
      return this.#update(_id, (collection) => collection.updateOne({ _id }, pipeline(part), this.#bounded));
    });
    await Promise.all(updates);
  }

  /** Calls the server to update a document, when its turn has come. */
  #update<T>(
    key: string,
    call: (collection: Collection<IdentityDocument>, late: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.#call((collection, late) => this.#turnstile.pass(key, late, () => call(collection, late)));
  }

  /** The first of our keys after a given one. */
  async #keysAfter(key: string): Promise<string[]> {
    const prefix = identityKeys(this.keyPrefix).replace(/[^\w\u0080-\uffff]/g, '\\$&');
    const documents = await this.#call((collection) =>
      collection
        .find({ _id: { $regex: `^${prefix}`, $gt: key } }, this.#bounded)
        .project<IdentityDocument>({ _id: 1 })
        .sort({ _id: 1 })
        .limit(DOCUMENTS_PER_STEP)
        .toArray(),
    );
    return documents.map(({ _id }) => _id);
  }

  /** Calls the server within the deadline; what fails becomes a `StorageError`. Nothing that may have counted is sent again. */
  async #call<T>(
    call: (collection: Collection<IdentityDocument>, late: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#closed) throw closedError(this);
    try {
      return await withTimeout(this.#timeout, async (late) => {
        const collection = await this.#collection.ready();
        late.throwIfAborted();
        return this.#underWay.run(late, (givenUp) => call(collection, givenUp));
      });
    } catch (cause) {
      throw failureOf(this, cause);
    }
  }

  /** The reading of the clock, for one call. */
  #now(): MongoExpression {
    return this.#givenClock === undefined ? this.#serverClock : literal(this.#givenClock.now());
  }

  /** The server gives up what takes too long, so that no update is later than `serverClock` takes into account. */
  get #bounded(): { maxTimeMS: number } {
    return { maxTimeMS: this.#timeout };
  }

  #keyOf([first]: readonly Cell[]): string {
    return identityKey(this.keyPrefix, first?.identity ?? '');
  }
}

function identityOf({ identity }: Cell): string {
  return identity;
}

/**
 * Where a server supports it, the driver sends an update again whose answer was lost. The server makes it once, but answers
 * the second time with the whole document instead of what was asked for.
 */
function asAnswer(document: unknown): BatchAnswer {
  if (typeof (document as Partial<BatchAnswer> | null)?.now === 'number') return document as BatchAnswer;
  throw new Error('the answer was lost, though the hit was counted');
}

/** Of two that create a document at once, the server refuses one, which then finds it. */
async function untilNotDuplicate<T>(late: AbortSignal, upsert: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    late.throwIfAborted();
    try {
      return await upsert();
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || (error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
    }
  }
}
