import type { Redis } from 'ioredis';
import { messageOf } from '../../common/describe.js';
import { StorageError } from '../../common/errors.js';
import { strategyNames } from '../../strategies/strategies.js';
import { consumeInParts, joinResults, partition } from '../consume-in-parts.js';
import type { BatchResult, Block, Cell, Hit, Refund, StorageCapabilities } from '../../core/contract.js';
import { MAX_MOVING_WINDOW } from '../../core/limit.js';
import { failureOf } from '../../core/storage.js';
import { identityKey, identityKeys, ServerStorage, type ServerStorageOptions } from '../server.storage.js';
import { BatchGatherer } from './batch-gatherer.js';
import { BatchPlans, logKey, type BatchPlan, type PlannedBatch } from './batch-plan.js';
import type { BatchStep } from './batch-script.js';
import { firstConnection, forgetCommand, type RedisClient } from './redis-client.js';

/** How many keys one step of `reset` looks at. */
const KEYS_PER_SCAN = 1000;

/** Most limits that one script decides: far more than a request has, and well within what Lua can compile. */
const MAX_LIMITS_TOGETHER = 64;

/**
 * Writes as a decision does, and leaves nothing behind: a server that answers a PING may have no room, be a replica or still be
 * loading.
 */
const CHECK = {
  name: 'nestjsLimitsCheck',
  lua: "redis.call('HSET', KEYS[1], 'check', redis.call('TIME')[1])\nreturn redis.call('UNLINK', KEYS[1])",
  numberOfKeys: 1,
} as const;

/** What the Redis storages share: batches decided by scripts, over one client. */
export abstract class RedisScriptStorage extends ServerStorage {
  override readonly capabilities: StorageCapabilities;
  readonly #client: RedisClient;
  readonly #ownsClient: boolean;
  readonly #now: () => string;
  readonly #plans = new BatchPlans();
  readonly #gatherer = new BatchGatherer((plan, step, batches) => this.#run(plan, step, batches));
  readonly #defined = new Set<string>();
  #connected: Promise<void> | undefined;
  /** Why there is no connection, while there is none. */
  #lastError: Error | undefined;

  /** @param open is called only when the options are possible, lest a client is left behind that nobody closes */
  protected constructor(
    options: ServerStorageOptions,
    open: (timeout: number) => RedisClient,
    /** Whether this storage has opened the client, and so closes it. */
    owned: boolean,
    /** Whether every key of a call must lie in one slot: then only the limits of one identity share a call. */
    private readonly slotted: boolean,
  ) {
    super(options);
    const client = open(this.timeout);
    const { clock } = options;
    this.#client = client;
    this.#ownsClient = owned;
    this.#now = clock === undefined ? () => '' : () => String(clock.now());
    this.capabilities = {
      atomicity: slotted ? 'identity' : 'batch',
      clock: clock === undefined ? 'server' : 'local',
      strategies: strategyNames,
      maxMovingWindow: MAX_MOVING_WINDOW,
    };
    client.defineCommand(CHECK.name, CHECK);
    if (owned) {
      // Unheard, the event would end the process.
      client.on('error', (error: Error) => {
        forgetCommand(error);
        this.#lastError = error;
      });
      client.on('ready', () => (this.#lastError = undefined));
    }
    this.#connected = firstConnection(client).finally(() => (this.#connected = undefined));
  }

  /** The client; not a field, which inspection would show with the password. */
  protected get client(): RedisClient {
    return this.#client;
  }

  /** The servers that hold keys. */
  protected abstract primaries(): readonly Redis[];

  /** Hash tags of keys of which every primary holds one. */
  protected checkedTags(): readonly string[] {
    return ['0'];
  }

  override consume(batch: readonly Hit[]): Promise<BatchResult> {
    return consumeInParts(
      batch,
      this.#partsOf(batch),
      (part) => this.#gather('consume', part),
      (refunds) => this.refund(refunds),
    );
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const results = this.#partsOf(batch).map((part) => this.#gather('peek', part));
    return joinResults(batch, await Promise.all(results));
  }

  override async refund(refunds: readonly Refund[]): Promise<void> {
    await Promise.all(this.#partsOf(refunds).map((part) => this.#gather('refund', part)));
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    const hits = blocks.map(({ identity, limit, duration }) => ({ identity, limit, cost: duration }));
    await Promise.all(this.#partsOf(hits).map((part) => this.#gather('block', part)));
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    const removals = partition(cells, ({ identity }) => identity).flatMap((part) => {
      const key = this.#keyOf(part[0]?.identity ?? '');
      const fields = part.flatMap(({ limit }) => [limit.digest, `${limit.digest}!`]);
      const logs = part
        .filter(({ limit }) => limit.strategy === 'moving-window')
        .map(({ limit }) => logKey(key, limit));
      return [
        this.call(() => this.client.hdel(key, ...fields)),
        ...(logs.length > 0 ? [this.call(() => this.client.unlink(...logs))] : []),
      ];
    });
    await Promise.all(removals);
  }

  /** Every primary takes what a decision writes. */
  protected override async probe(): Promise<void> {
    await Promise.all(this.checkedTags().map((tag) => this.#checkWriting(tag)));
  }

  override async reset(): Promise<number> {
    const counts = await this.call(() =>
      Promise.all(this.primaries().map((server) => this.#resetServer(server))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  protected override release(): void {
    if (this.#ownsClient) this.client.disconnect();
  }

  /** Gives up a connection that may be dead. One that is being made is left alone: it has a deadline, and may just take long. */
  override reconnect(): void {
    if (this.#ownsClient && !this.closed && this.client.status === 'ready') this.client.disconnect(true);
  }

  async #resetServer(server: Redis): Promise<number> {
    const pattern = `${identityKeys(this.keyPrefix).replace(/[\\*?[\]^-]/g, '\\$&')}*`;
    let removed = 0;
    let cursor = '0';
    do {
      const [next, keys] = await server.scan(cursor, 'MATCH', pattern, 'COUNT', KEYS_PER_SCAN);
      // One command per key: on a cluster, keys of several slots cannot share one.
      removed += (await Promise.all(keys.map((key) => server.unlink(key)))).reduce(
        (sum, count) => sum + count,
        0,
      );
      cursor = next;
    } while (cursor !== '0');
    return removed;
  }

  #gather(step: BatchStep, batch: PlannedBatch): Promise<BatchResult> {
    const together = this.slotted ? (batch[0]?.identity ?? '') : '';
    return this.#gatherer.add(this.#plans.get(batch), step, batch, together);
  }

  async #run(
    plan: BatchPlan,
    step: BatchStep,
    batches: readonly PlannedBatch[],
  ): Promise<readonly (BatchResult | Error)[]> {
    const { name, lua } = plan.script(step);
    if (!this.#defined.has(name)) {
      this.client.defineCommand(name, { lua });
      this.#defined.add(name);
    }
    const args = plan.args(batches, (identity) => this.#keyOf(identity), this.#now());
    const reply = await this.call(() => this.#runScript<string>(name, ...args));
    return plan
      .results(batches, reply)
      .map((result) => (result instanceof Error ? failureOf(this, result) : result));
  }

  async #checkWriting(tag: string): Promise<void> {
    // No brace follows the colon, as in the key of every identity: nobody's key, and nothing that `reset` would find.
    await this.#runScript(CHECK.name, `${this.keyPrefix}:check{${tag}}`);
  }

  /** Runs a script that has been defined. */
  async #runScript<T>(name: string, ...args: unknown[]): Promise<T> {
    const commands = this.client as unknown as Record<string, (...args: unknown[]) => Promise<T>>;
    return (await commands[name]?.(...args)) as T;
  }

  /** As every storage on a server does, but waits for the very first connection, and for no other. */
  protected override call<T>(call: () => Promise<T>): Promise<T> {
    return super.call(async () => {
      if (this.#connected !== undefined) await this.#connected;
      if (this.#ownsClient && this.client.status !== 'ready') {
        const reason = this.#lastError === undefined ? this.client.status : messageOf(this.#lastError);
        throw new StorageError(`${this} is not connected: ${reason}`, { cause: this.#lastError });
      }
      return call().catch(throwWithoutCommand);
    });
  }

  #partsOf<C extends Cell>(cells: readonly C[]): readonly (readonly C[])[] {
    if (this.slotted) return partition(cells, ({ identity }) => identity);
    if (cells.length <= MAX_LIMITS_TOGETHER) return [cells];
    const parts = Math.ceil(cells.length / MAX_LIMITS_TOGETHER);
    return Array.from({ length: parts }, (_, part) =>
      cells.slice(part * MAX_LIMITS_TOGETHER, (part + 1) * MAX_LIMITS_TOGETHER),
    );
  }

  /** The identity is the hash tag: all of its keys lie in one slot. */
  #keyOf(identity: string): string {
    return identityKey(this.keyPrefix, identity);
  }
}

function throwWithoutCommand(error: unknown): never {
  forgetCommand(error);
  throw error;
}
