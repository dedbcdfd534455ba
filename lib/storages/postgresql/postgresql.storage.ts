import { createHash } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import {
  assertBoolean,
  assertKnownOptions,
  assertWholeNumber,
  withoutUndefined,
} from '../../common/options.js';
import { queueTimeoutError, withTimeout } from '../../common/time.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from '../../core/contract.js';
import { closedError, failureOf } from '../../core/storage.js';
import { strategyNames } from '../../strategies/strategies.js';
import { identityKey, identityKeys, ServerStorage, type ServerStorageOptions } from '../server.storage.js';
import { CallGatherer, type WaitingBatch } from './call-gatherer.js';
import {
  codeOf,
  givenConnections,
  type Connections,
  type PostgreSQLClient,
  type Row,
  type Statement,
} from './connections.js';
import { readAnswer, writeArguments, type Step } from './decision-call.js';
import { independentParts } from './independent-parts.js';
import { parsePostgreSQLUri, withSsl } from './postgresql-uri.js';
import { Schema } from './schema.js';
import { schemaSql, type SchemaSql } from './sql/schema.sql.js';
import { SweepSchedule } from './sweep-schedule.js';

/** Options of {@link PostgreSQLStorage}. */
export interface PostgreSQLStorageOptions extends ServerStorageOptions {
  /** The schema of the tables and functions, which the storage creates. Default: `'nestjs_limits'`. */
  schema?: string | undefined;
  /**
   * Whether counts survive a crash of the server and a failover, but for the last 0.6 s. Costs 139 bytes of WAL per decision.
   * Read when the tables are created. Default: false, unlogged tables, which a crash or failover empties.
   */
  durable?: boolean | undefined;
  /** Most connections of the storage's own pool. Not for a given client. Default: 4. */
  connections?: number | undefined;
  /** TLS options of `node:tls`, which are added to those of the URI's `sslmode`. Not for a given client. */
  ssl?: boolean | ConnectionOptions | undefined;
}

const OWN_OPTIONS = ['clock', 'durable', 'keyPrefix', 'schema', 'timeout'];
const POOL_OPTIONS = ['connections', 'ssl'];

const DEFAULT_SCHEMA = 'nestjs_limits';
const DEFAULT_CONNECTIONS = 4;

/** An entry of an index holds 2704 bytes at most; the log's has an id and a time, too. */
const MAX_KEY_BYTES = 1024;
const MAX_PREFIX_LENGTH = 200;
/** NUL, which the server refuses, and lone surrogates, which in UTF-8 are all the same. */
const UNSTORABLE = /\0|\p{Cs}/u;

const ROWS_PER_STEP = 1000;

/** Parts of the time that a call has left, for which it waits for one lock: the batches of a gathered call need time for another. */
const LOCK_WAIT = { gathered: 0.4, alone: 0.9 } as const;

/** Errors after which nothing was counted: of a value, so that each batch is sent alone; or of a lock, so that each row is. */
const BAD_VALUE = /^(?:2[23]|54)/;
const NOT_LOCKED = /^(?:40001|40P01|55P03)$/;

/**
 * Counts on PostgreSQL, 13 or later, by its clock: one row per identity. One call of a function decides a batch, whatever its limits
 * and identities; the calls of one turn of the event loop are gathered into one. The storage creates what it needs in a schema of its
 * own, and deletes what has expired as it goes.
 *
 * @example
 * ```ts
 * import { MovingWindowRateLimiter, parse } from 'nestjs-limits';
 * import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
 *
 * const limiter = new MovingWindowRateLimiter(new PostgreSQLStorage('postgres://localhost:5432/app'));
 * const allowed = await limiter.hit(parse('10/minute'), 'user', '42');
 * ```
 */
export class PostgreSQLStorage extends ServerStorage {
  override readonly capabilities: StorageCapabilities;
  readonly #connections: Promise<Connections>;
  readonly #sql: SchemaSql;
  readonly #schema: Schema;
  readonly #gatherer: CallGatherer;
  readonly #sweeps = new SweepSchedule();
  readonly #now: () => string | null;

  /**
   * @param connection a URI (`postgres://`, `postgresql://`), or a client with `query(text, values)`, such as a pool of `pg`, which
   * stays open when the storage closes
   * @throws ConfigurationError when the URI or an option is impossible; credentials never appear in a message
   */
  constructor(connection: string | PostgreSQLClient, options: PostgreSQLStorageOptions = {}) {
    const { keyPrefix, clock, timeout, connections = DEFAULT_CONNECTIONS } = options;
    super({ keyPrefix, clock, timeout });
    const { schema, durable } = assertOptions(this.keyPrefix, connection, options);
    this.#now = clock === undefined ? () => null : () => String(clock.now());
    this.capabilities = {
      atomicity: 'batch',
      clock: clock === undefined ? 'server' : 'local',
      strategies: strategyNames,
      maxMovingWindow: 100_000,
    };
    this.#sql = schemaSql(schema, durable);
    this.#schema = new Schema(this.#sql, durable);
    this.#gatherer = new CallGatherer(connections, (step, waiting) => this.#send(step, waiting));
    this.#connections =
      typeof connection === 'string'
        ? open(connection, options, this.timeout)
        : Promise.resolve(givenConnections(connection));
    this.#connections.catch(() => undefined); // the first call says what is wrong
  }

  override consume(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#gather('consume', batch);
  }

  override peek(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#gather('peek', batch);
  }

  override settle(settlements: readonly Settlement[]): Promise<BatchResult> {
    return this.#gather('settle', settlements);
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    await this.#gather(
      'block',
      blocks.map(({ identity, limit, duration }) => ({ identity, limit, cost: duration })),
    );
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    await this.#gather(
      'remove',
      cells.map(({ identity, limit }) => ({ identity, limit, cost: 0 })),
    );
  }

  override async reset(): Promise<number> {
    const [from, to] = [identityKeys(this.keyPrefix), identityKeys(this.keyPrefix).replace('{', '|')];
    const statement = { text: this.#sql.reset, values: [from, to, String(ROWS_PER_STEP)] };
    let removed = 0;
    for (let count = ROWS_PER_STEP; count > 0; removed += count) {
      const [row] = await this.call(() =>
        this.#within(performance.now(), (query) => this.#schema.use(query, () => query(statement))),
      );
      count = Number(row?.['count'] ?? 0);
    }
    return removed;
  }

  /** A server that only reads, or a role that may only read, refuses an update even of no row. */
  protected override async probe(): Promise<void> {
    await this.#within(performance.now(), (query) =>
      this.#schema.use(query, () => query({ text: this.#sql.probe, values: [] })),
    );
  }

  override reconnect(): void {
    if (!this.closed) this.#connections.then((connections) => connections.reconnect()).catch(() => undefined);
  }

  protected override async release(): Promise<void> {
    await withTimeout(this.timeout, async () => (await this.#connections).close()).catch(() => undefined);
  }

  #gather(step: Step, batch: readonly (Hit | Settlement)[]): Promise<BatchResult> {
    return this.call(() => this.#gatherer.add(step, batch));
  }

  /** Settles all batches of a call; those that have waited for too long are not sent. */
  async #send(step: Step, waiting: readonly WaitingBatch[]): Promise<void> {
    const now = performance.now();
    const inTime = waiting.filter(({ since }) => now < since + this.timeout && !this.closed);
    for (const entry of waiting) {
      if (!inTime.includes(entry))
        entry.reject(this.closed ? closedError(this) : queueTimeoutError(String(this), this.timeout));
    }
    if (inTime.length > 0) await this.#decide(step, inTime, NOT_LOCKED_RETRIES);
    this.#sweepIfDue(waiting.length);
  }

  /** Decides batches in one call. One that fails does not touch the others: they are sent again without it. */
  async #decide(step: Step, waiting: readonly WaitingBatch[], retries: number): Promise<void> {
    try {
      const results = await this.#call(step, waiting);
      waiting.forEach(({ resolve }, index) => resolve(results[index] as BatchResult));
    } catch (error) {
      const parts = partsToSendAgain(waiting, codeOf(error), retries);
      if (parts.length > 0) await Promise.all(parts.map((part) => this.#decide(step, part, retries - 1)));
      else for (const { reject } of waiting) reject(failureOf(this, error));
    }
  }

  #call(step: Step, waiting: readonly WaitingBatch[]): Promise<BatchResult[]> {
    const batches = waiting.map(({ batch }) => batch);
    const since = Math.min(...waiting.map(({ since }) => since));
    return this.#within(since, (query, left) =>
      this.#schema.use(query, async () => {
        const { keys, ids, limits, hits } = writeArguments(step, batches, (identity) =>
          this.#keyOf(identity),
        );
        const lockWait = Math.ceil(left() * (waiting.length > 1 ? LOCK_WAIT.gathered : LOCK_WAIT.alone));
        const values = [keys, ids, limits, hits, this.#now()];
        const statement =
          step === 'peek'
            ? { text: this.#sql.peekStatement, values }
            : { text: this.#sql.decideStatement, values: [step, ...values, String(lockWait)] };
        const [row] = await query(statement);
        return readAnswer(step, batches, String(row?.['answer']));
      }),
    );
  }

  /** Runs statements within the timeout. */
  #within<T>(
    since: number,
    run: (query: (statement: Statement) => Promise<readonly Row[]>, left: () => number) => Promise<T>,
  ): Promise<T> {
    const left = (): number => Math.max(1, Math.ceil(since + this.timeout - performance.now()));
    return withTimeout(
      this.timeout,
      async (late) => {
        const connections = await this.#connections;
        return run((statement) => connections.query(statement, late, left()), left);
      },
      since,
    );
  }

  /** Forgets some of what has expired, without anybody waiting for it. */
  #sweepIfDue(decisions: number): void {
    if (!this.#sweeps.isDue(decisions) || this.closed) return;
    const statement = { text: this.#sql.sweep, values: [String(ROWS_PER_STEP)] };
    this.#within(performance.now(), (query) => query(statement)).catch(() => undefined);
  }

  #keyOf(identity: string): string {
    const key = identityKey(this.keyPrefix, identity);
    if (Buffer.byteLength(key) <= MAX_KEY_BYTES && !UNSTORABLE.test(key)) return key;
    // UTF-16 keeps lone surrogates apart. Without the last brace it is no identity's key.
    const digest = createHash('sha256').update(identity, 'utf16le').digest('base64url');
    return `${identityKeys(this.keyPrefix)}#${digest}`;
  }
}

/** How often batches are sent again: apart from the others, and once more after a deadlock with another application. */
const NOT_LOCKED_RETRIES = 2;

/** The parts in which batches are sent again after an error; none if that would not help, or something may have been counted. */
function partsToSendAgain(
  waiting: readonly WaitingBatch[],
  code: string,
  retries: number,
): (readonly WaitingBatch[])[] {
  if (retries === 0) return [];
  if (BAD_VALUE.test(code)) return waiting.length > 1 ? waiting.map((entry) => [entry]) : [];
  if (!NOT_LOCKED.test(code)) return [];
  const parts = independentParts(waiting);
  return parts.length > 1 || code.startsWith('40') ? parts : [];
}

interface SchemaOptions {
  readonly schema: string;
  readonly durable: boolean;
}

function assertOptions(
  keyPrefix: string,
  connection: unknown,
  options: PostgreSQLStorageOptions,
): SchemaOptions {
  const isUri = typeof connection === 'string';
  const { schema = DEFAULT_SCHEMA, durable = false, connections = DEFAULT_CONNECTIONS } = options;
  if (!isUri && typeof (connection as { query?: unknown } | undefined)?.query !== 'function') {
    throw new ConfigurationError(
      `A PostgreSQLStorage needs a URI or a client with a method "query"; got ${describeValue(connection)}.`,
    );
  }
  const where = isUri ? 'A PostgreSQLStorage' : 'A PostgreSQLStorage on a given client';
  assertKnownOptions(
    where,
    withoutUndefined(options),
    isUri ? [...OWN_OPTIONS, ...POOL_OPTIONS] : OWN_OPTIONS,
  );
  if (typeof schema !== 'string' || !/^[^\0]{1,63}$/.test(schema) || schema.startsWith('pg_')) {
    throw new ConfigurationError(
      `The schema of a PostgreSQLStorage must be a name of 1 to 63 characters that does not begin with "pg_"; got ${describeValue(schema)}.`,
    );
  }
  if (keyPrefix.length > MAX_PREFIX_LENGTH) {
    throw new ConfigurationError(
      `The keyPrefix of a PostgreSQLStorage must have up to ${MAX_PREFIX_LENGTH} characters; got ${keyPrefix.length}.`,
    );
  }
  assertBoolean('"durable" of a PostgreSQLStorage', durable);
  assertWholeNumber('"connections" of a PostgreSQLStorage', connections, 1);
  return { schema, durable };
}

/** Opens a pool of our own. The driver is loaded only here: who gives a client need not have it. */
function open(
  uri: string,
  { connections = DEFAULT_CONNECTIONS, ssl }: PostgreSQLStorageOptions,
  timeout: number,
): Promise<Connections> {
  const config = { ...withSsl(parsePostgreSQLUri(uri), ssl), max: connections };
  return import('./own-connections.js').then(({ OwnConnections }) => new OwnConnections(config, timeout));
}
