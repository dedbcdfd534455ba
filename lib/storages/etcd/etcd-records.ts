import { BoundedMap } from '../../common/bounded-map.js';
import { EtcdLeaseInvalidError, type IRequestOp, type ITxnResponse } from 'etcd3';
import type { Write } from '../cas/cas-record.js';
import { deadlineAt } from './etcd-client.js';
import type { EtcdConnection } from './etcd-connection.js';
import { EtcdLeases } from './etcd-leases.js';

/** A record on the servers. A missing one has no text and the revision '0'. */
export interface StoredRecord {
  readonly key: string;
  readonly text: string | undefined;
  readonly revision: string;
}

/** Approximate size of the cache in bytes: some ten thousand identities. */
const MAX_CACHE_BYTES = 8_000_000;
/** Approximate overhead of a cached record, in bytes. */
const OVERHEAD_BYTES = 150;

/** Keys that one step lists or deletes. Small enough not to block the servers. */
const KEYS_PER_STEP = 1000;

/** Reads and replaces records on etcd servers, by transactions on their mod revisions. */
export class EtcdRecords {
  /** Caches the records that this process read or wrote last. A stale record fails the comparison of revisions. */
  readonly #cache = new BoundedMap<StoredRecord>(MAX_CACHE_BYTES, sizeOf);
  readonly #leases: EtcdLeases;

  constructor(private readonly connection: EtcdConnection) {
    this.#leases = new EtcdLeases(connection);
  }

  /** Returns records from the cache. One that is not cached counts as missing. */
  getCached(keys: readonly string[]): StoredRecord[] {
    return keys.map((key) => this.#cache.get(key) ?? absentRecord(key));
  }

  /**
   * Writes to each record (`undefined`: no change) if all of them still have the expected
   * revisions. Returns `undefined` then, and the current records otherwise.
   *
   * @param end deadline, by `performance.now()`
   */
  async replace(
    expected: readonly StoredRecord[],
    writes: readonly (Write | undefined)[],
    end: number,
  ): Promise<StoredRecord[] | undefined> {
    const leases = await Promise.all(
      writes.map(async (write) =>
        write && write.ttl > 0 ? this.#leases.leaseFor(write.ttl, end) : undefined,
      ),
    );
    const operations = expected.flatMap(({ key }, index) => operationsOf(key, writes[index], leases[index]));
    try {
      const { succeeded, header, responses } = await this.#commit(expected, operations, end);
      const records = expected.map((record, index) =>
        succeeded
          ? writtenRecord(record, writes[index], header.revision)
          : readRecord(record.key, responses[index]),
      );
      for (const record of records) this.#updateCache(record);
      return succeeded ? undefined : records;
    } catch (error) {
      if (!(error instanceof EtcdLeaseInvalidError)) throw error;
      // The server rejected the transaction and wrote nothing: retry with new leases.
      this.#leases.forget(leases);
      return this.replace(expected, writes, end);
    }
  }

  /**
   * Removes all records with a key prefix. Returns their number.
   *
   * @param timeout timeout of each step, in ms
   */
  async removeAll(prefix: string, timeout: number): Promise<number> {
    const { client } = this.connection;
    const range = client.range({ prefix });
    const callOptions = (): { deadline: number } => deadlineAt(performance.now() + timeout);
    let { start } = range;
    let removed = 0;
    for (;;) {
      const listing = client.getAll().inRange({ start, end: range.end }).limit(KEYS_PER_STEP);
      const last = (await listing.options(callOptions()).keyBuffers()).at(-1);
      if (last === undefined) return removed;
      const next = Buffer.concat([last, Buffer.of(0)]);
      const deletion = client.delete().inRange({ start, end: next });
      removed += Number((await deletion.options(callOptions()).exec()).deleted);
      start = next;
    }
  }

  /**
   * Returns the next keys with a prefix, in order.
   *
   * @param last the last key before them, or `''`
   * @param timeout in ms
   */
  async keysAfter(prefix: string, last: string, timeout: number): Promise<string[]> {
    const { client } = this.connection;
    const range = client.range({ prefix });
    const start = last === '' ? range.start : `${last}\0`;
    const listing = client.getAll().inRange({ start, end: range.end }).limit(KEYS_PER_STEP);
    return listing.options(deadlineAt(performance.now() + timeout)).keys();
  }

  /**
   * Resolves if the servers accept a transaction with a write. They reject it if they are out of
   * space or have lost their majority. The condition is never true, so nothing is written.
   *
   * @param key a key that never exists
   */
  async probe(key: string, end: number): Promise<void> {
    const { client } = this.connection;
    await client
      .if(key, 'Mod', '>', 0)
      .then(client.put(key).value(''))
      .else(client.get(key))
      .options(deadlineAt(end))
      .commit();
  }

  #updateCache(record: StoredRecord): void {
    if (record.text === undefined) this.#cache.delete(record.key);
    else this.#cache.set(record.key, record);
  }

  /** Sends one transaction: the operations if all records have the expected revisions, else reads of them. */
  #commit(
    expected: readonly StoredRecord[],
    operations: readonly IRequestOp[],
    end: number,
  ): Promise<ITxnResponse> {
    const [first = absentRecord(''), ...others] = expected;
    const { client } = this.connection;
    const transaction = client.if(first.key, 'Mod', '==', first.revision);
    for (const { key, revision } of others) transaction.and(key, 'Mod', '==', revision);
    return transaction
      .then(...operations)
      .else(...expected.map(({ key }) => client.get(key)))
      .options(deadlineAt(end))
      .commit();
  }
}

function absentRecord(key: string): StoredRecord {
  return { key, text: undefined, revision: '0' };
}

function sizeOf({ key, text = '' }: StoredRecord): number {
  return key.length + text.length + OVERHEAD_BYTES;
}

function operationsOf(key: string, write: Write | undefined, lease: string | undefined): IRequestOp[] {
  if (write === undefined) return [];
  if (lease === undefined) return [{ request_delete_range: { key: Buffer.from(key) } }];
  return [{ request_put: { key: Buffer.from(key), value: Buffer.from(write.text), lease } }];
}

function writtenRecord(record: StoredRecord, write: Write | undefined, revision: string): StoredRecord {
  if (write === undefined) return record;
  return write.ttl === 0 ? absentRecord(record.key) : { key: record.key, text: write.text, revision };
}

function readRecord(key: string, response: ITxnResponse['responses'][number] | undefined): StoredRecord {
  const [found] = response?.response_range.kvs ?? [];
  return found === undefined
    ? absentRecord(key)
    : { key, text: found.value.toString(), revision: found.mod_revision };
}
