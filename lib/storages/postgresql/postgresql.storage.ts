import { queueTimeoutError, withTimeout } from '../../common/time.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { settingsKey, type SettingsStore } from '../../core/settings-store.js';
import { closedError } from '../../core/storage.js';
import { strategyNames } from '../../strategies/strategies.js';
import { CallGatherer } from '../call-gatherer.js';
import { identityKeys, ServerStorage } from '../server.storage.js';
import { codeOf, givenConnections, type Connections, type PostgreSQLClient } from './connections.js';
import { outsideOf, readAnswer, writeArguments, type PlannedBatch, type Step } from './decision-call.js';
import { postgreSQLKey } from './postgresql-key.js';
import { postgreSQLRemedy } from './postgresql-remedies.js';
import { parsePostgreSQLUri, withSsl } from './postgresql-uri.js';
import { PostgreSQLSettings } from './postgresql-settings.js';
import { resolveOptions, type PostgreSQLStorageOptions, type ResolvedOptions } from './postgresql.options.js';
import { MAX_ATTEMPTS, partsToRetry, type WaitingBatch } from './retries.js';
import { Schema, type Query } from './schema.js';
import { schemaSql, type SchemaSql } from './sql/schema.sql.js';
import { SweepSchedule } from './sweep-schedule.js';

/** Maximum rows that one step of `reset` or one sweep deletes. */
const ROWS_PER_STEP = 1000;

/**
 * Lock timeout, as a part of the time that a call has left. Gathered batches need time to be sent
 * again one by one.
 */
const LOCK_WAIT = { gathered: 0.4, alone: 0.9 } as const;

/**
 * Counts on PostgreSQL, 13 or later, by its clock. One row per identity holds all of its limits.
 * One call of a function decides a batch of any limits and identities. The batches of one turn of
 * the event loop share a call. The storage creates its tables and functions in a separate schema.
 * Its calls also delete expired rows.
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
  readonly #gatherer: CallGatherer<Step, PlannedBatch, BatchResult>;
  readonly #sweeps = new SweepSchedule();
  readonly #now: () => string | null;

  /**
   * @param connection a URI (`postgres://`, `postgresql://`), or a client with `query(text,
   *   values)`, such as a pool of `pg`, which stays open when the storage closes
   * @throws ConfigurationError when the URI or an option is invalid; credentials never appear in a
   *   message
   */
  constructor(connection: string | PostgreSQLClient, options: PostgreSQLStorageOptions = {}) {
    const { keyPrefix, clock, timeout } = options;
    super({ keyPrefix, clock, timeout });
    const resolved = resolveOptions(connection, options);
    this.#now = clock === undefined ? () => null : () => String(clock.now());
    this.capabilities = {
      atomicity: 'batch',
      clock: clock === undefined ? 'server' : 'local',
      strategies: strategyNames,
      maxMovingWindow: 100_000,
    };
    this.#sql = schemaSql(resolved.schema, resolved.durable);
    this.#schema = new Schema(this.#sql, resolved.durable);
    this.#gatherer = new CallGatherer(resolved.connections, (step, waiting) => this.#send(step, waiting));
    this.#connections = connect(connection, resolved, this.timeout);
    this.#connections.catch(() => undefined); // the first call reports the error
  }

  protected override remedyFor(cause: unknown): string | undefined {
    return postgreSQLRemedy(cause);
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

  override async removeLimits(limits: readonly Limit[]): Promise<void> {
    const ids = `{${limits.flatMap(({ digest }) => [`"${digest}"`, `"${digest}!"`]).join(',')}}`;
    const from = identityKeys(this.keyPrefix);
    for (let last: unknown = from; typeof last === 'string';) {
      const values = [last, from.replace('{', '|'), ids, String(ROWS_PER_STEP)];
      const [row] = await this.call(() =>
        this.#within(performance.now(), (query) => query({ text: this.#sql.removeLimits, values })),
      );
      last = row?.['last'];
    }
  }

  override async reset(): Promise<number> {
    const from = identityKeys(this.keyPrefix);
    const values = [from, from.replace('{', '|'), String(ROWS_PER_STEP)];
    let removed = 0;
    for (let count = ROWS_PER_STEP; count === ROWS_PER_STEP; removed += count) {
      const [row] = await this.call(() =>
        this.#within(performance.now(), (query) => query({ text: this.#sql.reset, values })),
      );
      count = Number(row?.['count'] ?? 0);
    }
    return removed;
  }

  override get settings(): SettingsStore {
    return new PostgreSQLSettings(this.#sql, settingsKey(this.keyPrefix), (statement) =>
      this.call(() => this.#within(performance.now(), (query) => query(statement))),
    );
  }

  override reconnect(): void {
    if (!this.closed) this.#connections.then((connections) => connections.reconnect()).catch(() => undefined);
  }

  /** Updates no row: a read-only server or role rejects even that. */
  protected override async probe(): Promise<void> {
    await this.#within(performance.now(), (query) => query({ text: this.#sql.probe, values: [] }));
  }

  protected override async release(): Promise<void> {
    await withTimeout(this.timeout, async () => (await this.#connections).close()).catch(() => undefined);
  }

  #gather(step: Step, batch: PlannedBatch): Promise<BatchResult> {
    return this.call(() => this.#gatherer.add(step, batch));
  }

  /** Sends the batches of a call, and rejects those that have waited too long. */
  async #send(step: Step, waiting: readonly WaitingBatch[]): Promise<void> {
    const oldest = performance.now() - this.timeout;
    const wanted = waiting.filter(({ since }) => since > oldest && !this.closed);
    for (const entry of waiting) {
      if (!wanted.includes(entry))
        entry.reject(this.closed ? closedError(this) : queueTimeoutError(String(this), this.timeout));
    }
    if (wanted.length > 0) await this.#decide(step, wanted, 1);
    this.#sweepIfDue(waiting.length);
  }

  async #decide(step: Step, waiting: readonly WaitingBatch[], attempt: number): Promise<void> {
    try {
      const results = await this.#callFunction(step, waiting);
      waiting.forEach(({ resolve }, index) => resolve(results[index] as BatchResult));
    } catch (error) {
      const parts = attempt < MAX_ATTEMPTS ? partsToRetry(waiting, codeOf(error)) : [];
      if (parts.length === 0) for (const { reject } of waiting) reject(error);
      await Promise.all(parts.map((part) => this.#decide(step, part, attempt + 1)));
    }
  }

  async #callFunction(step: Step, waiting: readonly WaitingBatch[]): Promise<BatchResult[]> {
    const batches = waiting.map(({ item }) => item);
    const since = Math.min(...waiting.map((entry) => entry.since));
    const part = waiting.length > 1 ? LOCK_WAIT.gathered : LOCK_WAIT.alone;
    const keyOf = (identity: string): string => postgreSQLKey(this.keyPrefix, identity);
    const ask = async (near: number): Promise<string> => {
      const { keys, ids, limits, hits } = writeArguments(step, batches, keyOf, near);
      const [row] = await this.#within(since, (query) => {
        const values = [keys, ids, limits, hits, this.#now()];
        if (step === 'peek') return query({ text: this.#sql.peek, values });
        const lockWait = String(Math.ceil(this.#timeLeft(since) * part));
        return query({ text: this.#sql.decide, values: [step, ...values, lockWait] });
      });
      return String(row?.['answer']);
    };
    const reply = await this.callNear(ask, (answer) => outsideOf(step, answer));
    return readAnswer(step, batches, reply);
  }

  /** Runs statements within the timeout. Creates the schema first if it does not exist. */
  #within<T>(since: number, run: (query: Query) => Promise<T>): Promise<T> {
    return withTimeout(
      this.timeout,
      async (late) => {
        const connections = await this.#connections;
        const query: Query = (statement) => connections.query(statement, late, this.#timeLeft(since));
        return this.#schema.use(query, () => run(query));
      },
      since,
    );
  }

  /** Returns the ms that a call has left, at least 1. */
  #timeLeft(since: number): number {
    return Math.max(1, Math.ceil(since + this.timeout - performance.now()));
  }

  /** Deletes some expired rows in the background. */
  #sweepIfDue(decisions: number): void {
    if (this.closed || !this.#sweeps.isDue(decisions)) return;
    const statement = { text: this.#sql.sweep, values: [String(ROWS_PER_STEP)] };
    this.#within(performance.now(), (query) => query(statement)).catch(() => undefined);
  }
}

/**
 * Opens a pool for a URI. Only this loads the driver, since an application with another client may
 * not have it.
 */
function connect(
  connection: string | PostgreSQLClient,
  { connections, ssl }: ResolvedOptions,
  timeout: number,
): Promise<Connections> {
  if (typeof connection !== 'string') return Promise.resolve(givenConnections(connection));
  const config = { ...withSsl(parsePostgreSQLUri(connection), ssl), max: connections };
  return import('./own-connections.js').then(({ OwnConnections }) => new OwnConnections(config, timeout));
}
