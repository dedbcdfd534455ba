import type { Redis } from 'ioredis';
import { Deadlines } from '../../common/deadlines.js';
import { messageOf } from '../../common/describe.js';
import { StorageError } from '../../common/errors.js';
import { strategyNames } from '../../strategies/strategies.js';
import { consumeInParts, joinResults, partition } from '../../core/batch-parts.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from '../../core/contract.js';
import { MAX_MOVING_WINDOW, type Limit } from '../../core/limit.js';
import { settingsKey, type SettingsStore } from '../../core/settings-store.js';
import { failureOf, withRemedy } from '../../core/storage.js';
import { identityKey, identityKeys, ServerStorage, type ServerStorageOptions } from '../server.storage.js';
import { BatchGatherer } from './batch-gatherer.js';
import { BatchPlans, hasLog, logKey, type BatchPlan, type PlannedBatch } from './batch-plan.js';
import type { BatchStep } from './batch-script.js';
import { firstConnection, forgetCommand, takeOverTimeout, type RedisClient } from './redis-client.js';
import { forEachKey } from './redis-keys.js';
import { redisRemedy, type RedisTopology } from './redis-remedies.js';
import { RedisSettings } from './redis-settings.js';

/**
 * Maximum limits in one script call. Far more than a request has, and well within the limits of
 * Lua.
 */
const MAX_LIMITS_TOGETHER = 64;

/**
 * Performs the writes of a decision, and removes what it wrote. A server that replies to PING may
 * still be out of memory, a replica, or loading.
 */
const CHECK = {
  name: 'nestjsLimitsCheck',
  lua: `local now = redis.call('TIME')[1]
for index = 1, #KEYS do redis.call('HSET', KEYS[index], 'check', now) end
return redis.call('UNLINK', unpack(KEYS))`,
} as const;

/**
 * Tags of two slots, since one call decides several identities, which a server in cluster mode
 * rejects.
 */
const TAGS_OF_TWO_SLOTS = ['0', '1'];

/** Base class of the Redis storages. Scripts decide batches, over one client. */
export abstract class RedisScriptStorage extends ServerStorage {
  override readonly capabilities: StorageCapabilities;
  readonly #client: RedisClient;
  readonly #ownsClient: boolean;
  /**
   * True if all keys of a call must be in one slot, so that only limits of one identity share a
   * call.
   */
  readonly #slotted: boolean;
  readonly #now: () => string;
  readonly #plans = new BatchPlans();
  readonly #gatherer = new BatchGatherer((plan, step, batches) => this.#run(plan, step, batches));
  readonly #defined = new Set<string>();
  /** Of commands; `undefined` for a client of the application, whose own timeout applies. */
  readonly #deadlines: Deadlines | undefined;
  #connected: Promise<void> | undefined;
  /** The last error of the connection, until it is ready again. */
  #lastError: Error | undefined;

  /**
   * @param open called only after the options have been validated, so that no client is left open
   */
  protected constructor(
    options: ServerStorageOptions,
    open: (timeout: number) => RedisClient,
    /** True if this storage opened the client, and so closes it. */
    owned: boolean,
    /** The kind of service that the client is connected to. */
    private readonly topology: RedisTopology,
  ) {
    super(options);
    this.#slotted = topology === 'cluster';
    const client = open(this.timeout);
    const { clock } = options;
    this.#client = client;
    this.#ownsClient = owned;
    const commandTimeout = owned ? takeOverTimeout(client) : undefined;
    this.#deadlines = commandTimeout === undefined ? undefined : new Deadlines(commandTimeout);
    this.#now = clock === undefined ? () => '' : () => String(clock.now());
    this.capabilities = {
      atomicity: this.#slotted ? 'identity' : 'batch',
      clock: clock === undefined ? 'server' : 'local',
      strategies: strategyNames,
      maxMovingWindow: MAX_MOVING_WINDOW,
    };
    client.defineCommand(CHECK.name, CHECK);
    if (owned) {
      // An `error` event without a listener would end the process.
      client.on('error', (error: Error) => {
        forgetCommand(error);
        this.#lastError = error;
      });
      client.on('ready', () => (this.#lastError = undefined));
      client.on('close', () => (this.#lastError ??= new Error('the connection was closed')));
    }
    this.#connected = firstConnection(client).finally(() => (this.#connected = undefined));
  }

  // Subclasses get the client as an argument: as a property, it would be shown with its password.

  /** Returns the servers that hold keys. */
  protected abstract primariesOf(client: RedisClient): readonly Redis[];

  /** Returns the hash tags to write to in a check, by call. Together they cover every primary. */
  protected checkedTags(_client: RedisClient): readonly (readonly string[])[] {
    return [TAGS_OF_TWO_SLOTS];
  }

  protected override remedyFor(cause: unknown): string | undefined {
    return redisRemedy(this.topology, cause);
  }

  override consume(batch: readonly Hit[]): Promise<BatchResult> {
    return consumeInParts(
      batch,
      this.#partsOf(batch),
      (part) => this.#gather('consume', part),
      (settlements) => this.settle(settlements),
    );
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const parts = this.#partsOf(batch);
    return joinResults(batch, parts, await Promise.all(parts.map((part) => this.#gather('peek', part))));
  }

  override settle(settlements: readonly Settlement[]): Promise<BatchResult> {
    return settlements.length === 1 ? this.#gather('settle', settlements) : this.#settleInParts(settlements);
  }

  async #settleInParts(settlements: readonly Settlement[]): Promise<BatchResult> {
    const parts = this.#partsOf(settlements).flatMap(distinctCells);
    const results = await Promise.all(parts.map((part) => this.#gather('settle', part)));
    return joinResults(settlements, parts, results);
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    const hits = blocks.map(({ identity, limit, duration }) => ({ identity, limit, cost: duration }));
    await Promise.all(this.#partsOf(hits).map((part) => this.#gather('block', part)));
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    const removals = partition(cells, ({ identity }) => identity).flatMap((part) => {
      const key = this.#keyOf(part[0]?.identity ?? '');
      const fields = part.flatMap(({ limit }) => [limit.digest, `${limit.digest}!`]);
      const logs = part.filter(({ limit }) => hasLog(limit)).map(({ limit }) => logKey(key, limit));
      return [
        this.call(() => this.#bound(this.#client.hdel(key, ...fields))),
        ...(logs.length > 0 ? [this.call(() => this.#bound(this.#client.unlink(...logs)))] : []),
      ];
    });
    await Promise.all(removals);
  }

  override async removeLimits(limits: readonly Limit[]): Promise<void> {
    const fields = limits.flatMap(({ digest }) => [digest, `${digest}!`]);
    const logs = limits.map((limit) => logKey('}', limit));
    await this.call(() =>
      this.#forEachKey(async (key) => {
        if (key.endsWith('}')) return this.#client.hdel(key, ...fields);
        return logs.some((log) => key.endsWith(log)) ? this.#client.unlink(key) : 0;
      }),
    );
  }

  override get settings(): SettingsStore {
    return new RedisSettings(this.#client, settingsKey(this.keyPrefix), (ask) =>
      this.call(() => this.#bound(ask())),
    );
  }

  /** Resolves if every primary accepts the writes of a decision. */
  protected override async probe(): Promise<void> {
    await Promise.all(this.checkedTags(this.#client).map((tags) => this.#checkWriting(tags)));
  }

  override async reset(): Promise<number> {
    // Each identity has one hash, whose key ends with its tag. Logs of moving windows have further keys.
    return this.call(() =>
      this.#forEachKey(async (key, server) => {
        const count = await server.unlink(key);
        return key.endsWith('}') ? count : 0;
      }),
    );
  }

  protected override release(): void {
    if (!this.#ownsClient) return;
    this.#client.disconnect();
    this.#deadlines?.rest();
  }

  /**
   * Replaces a connection that may be dead. Keeps one that is still connecting, since it has its
   * own timeout.
   */
  override reconnect(): void {
    if (this.#ownsClient && !this.closed && this.#client.status === 'ready') this.#client.disconnect(true);
  }

  /** Calls a command for each key of this prefix on every primary. Returns the sum of the answers. */
  #forEachKey(call: (key: string, server: Redis) => Promise<number>): Promise<number> {
    const servers = this.primariesOf(this.#client);
    return forEachKey(servers, identityKeys(this.keyPrefix), (reply) => this.#bound(reply), call);
  }

  #gather(step: BatchStep, batch: PlannedBatch): Promise<BatchResult> {
    const group = this.#slotted ? (batch[0]?.identity ?? '') : '';
    return this.#gatherer.add(this.#plans.get(batch), step, batch, group);
  }

  async #run(
    plan: BatchPlan,
    step: BatchStep,
    batches: readonly PlannedBatch[],
  ): Promise<readonly (BatchResult | Error)[]> {
    const { name, lua } = plan.script(step);
    if (!this.#defined.has(name)) {
      this.#client.defineCommand(name, { lua });
      this.#defined.add(name);
    }
    const ask = (near: number): Promise<string> => {
      const args = plan.args(batches, (identity) => this.#keyOf(identity), this.#now(), near);
      return this.call(() => this.#runScript<string>(name, ...args));
    };
    const reply = await this.callNear(ask, (answer) => plan.outside(answer));
    return plan
      .results(step, batches, reply)
      .map((result) => (result instanceof Error ? failureOf(this, result, this.remedyFor(result)) : result));
  }

  async #checkWriting(tags: readonly string[]): Promise<void> {
    // The names have no brace after the first colon, so they are no identity's keys, and `reset`
    // does not remove them.
    const keys = tags.map((tag) => `${this.keyPrefix}:check{${tag}}`);
    await this.#runScript(CHECK.name, keys.length, ...keys);
  }

  /** Runs a script that has been defined. */
  #runScript<T>(name: string, ...args: unknown[]): Promise<T> {
    const commands = this.#client as unknown as Record<string, (...args: unknown[]) => Promise<T>>;
    return this.#bound(commands[name]?.(...args) as Promise<T>);
  }

  /** Applies the timeout of a command. */
  #bound<T>(reply: Promise<T>): Promise<T> {
    return this.#deadlines === undefined ? reply : this.#deadlines.bound(reply);
  }

  /** Calls the server once. Waits for the first connection, but not for a reconnection. */
  protected override call<T>(call: () => Promise<T>): Promise<T> {
    return super.call(async () => {
      if (this.#connected !== undefined) await this.#connected;
      if (this.#ownsClient && this.#client.status !== 'ready') {
        const cause = this.#lastError;
        const reason = cause === undefined ? this.#client.status : messageOf(cause);
        throw new StorageError(`${this} is not connected: ${withRemedy(reason, this.remedyFor(cause))}`, {
          cause,
        });
      }
      return call().catch(throwWithoutCommand);
    });
  }

  #partsOf<C extends Cell>(cells: readonly C[]): readonly (readonly C[])[] {
    if (this.#slotted) return partition(cells, ({ identity }) => identity);
    if (cells.length <= MAX_LIMITS_TOGETHER) return [cells];
    const parts = Math.ceil(cells.length / MAX_LIMITS_TOGETHER);
    return Array.from({ length: parts }, (_, part) =>
      cells.slice(part * MAX_LIMITS_TOGETHER, (part + 1) * MAX_LIMITS_TOGETHER),
    );
  }

  /**
   * Returns the key of an identity. The identity is the hash tag, so all of its keys are in one
   * slot.
   */
  #keyOf(identity: string): string {
    return identityKey(this.keyPrefix, identity);
  }
}

/**
 * Splits cells into lists without repetitions, since a script reads all cells of a batch before it
 * writes.
 */
function distinctCells<C extends Cell>(cells: readonly C[]): C[][] {
  const lists: C[][] = [];
  for (const cell of cells) {
    const isNamed = (list: C[]): boolean =>
      list.some(({ identity, limit }) => identity === cell.identity && limit.id === cell.limit.id);
    const list = lists.find((each) => !isNamed(each));
    if (list === undefined) lists.push([cell]);
    else list.push(cell);
  }
  return lists;
}

function throwWithoutCommand(error: unknown): never {
  forgetCommand(error);
  throw error;
}
