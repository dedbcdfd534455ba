import { BoundedMap } from '../../common/bounded-map.js';
import { EtcdLeaseInvalidError, type IRequestOp, type ITxnResponse } from 'etcd3';
import type { Write } from '../cas/cas-record.js';
import { endingAt } from './etcd-client.js';
import type { EtcdConnection } from './etcd-connection.js';
import { EtcdLeases } from './etcd-leases.js';

/** A record as the servers hold it; where they hold none, without a text and with the revision '0'. */
export interface StoredRecord {
  readonly key: string;
  readonly text: string | undefined;
  readonly revision: string;
}

/** About as many bytes as all that is remembered takes: some ten thousand identities. */
const MAX_REMEMBERED_BYTES = 8_000_000;
/** About the bytes that a record takes beside its key and its text. */
const BYTES_EACH = 150;

/** How many keys one step of `removeAll` deletes: few enough not to keep the servers from others. */
const KEYS_PER_DELETION = 1000;

/** Records on etcd servers, replaced by transactions on their mod revisions. */
export class EtcdRecords {
  /** What this process wrote or read last. It may be out of date: revisions tell. */
  readonly #remembered = new BoundedMap<StoredRecord>(MAX_REMEMBERED_BYTES, sizeOf);
  readonly #leases: EtcdLeases;

  constructor(private readonly connection: EtcdConnection) {
    this.#leases = new EtcdLeases(connection);
  }

  /** What this process knows of some records; absent is also what it does not remember. */
  recall(keys: readonly string[]): StoredRecord[] {
    return keys.map((key) => this.#remembered.get(key) ?? absentRecord(key));
  }

  /**
   * Stores what is to be written for each record (`undefined`: nothing), if all of them are still as expected. Otherwise
   * answers with the records as they are.
   *
   * @param end when to give up, by `performance.now()`
   */
  async replace(
    expected: readonly StoredRecord[],
    writes: readonly (Write | undefined)[],
    end: number,
  ): Promise<StoredRecord[] | undefined> {
    const leases = await Promise.all(
      writes.map(async (write) =>
        write && write.ttl > 0 ? this.#leases.lasting(write.ttl, end) : undefined,
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
      for (const record of records) this.#remember(record);
      return succeeded ? undefined : records;
    } catch (error) {
      if (!(error instanceof EtcdLeaseInvalidError)) throw error;
      // The server has refused it and done nothing: once more, under other leases.
      this.#leases.forget(leases);
      return this.replace(expected, writes, end);
    }
  }

  /**
   * Removes all records whose key begins so; returns how many.
   *
   * @param timeout ms that each of the steps may take
   */
  async removeAll(prefix: string, timeout: number): Promise<number> {
    const { client } = this.connection;
    const range = client.range({ prefix });
    const inTime = (): { deadline: number } => endingAt(performance.now() + timeout);
    let { start } = range;
    let removed = 0;
    for (;;) {
      const listing = client.getAll().inRange({ start, end: range.end }).limit(KEYS_PER_DELETION);
      const last = (await listing.options(inTime()).keyBuffers()).at(-1);
      if (last === undefined) return removed;
      const next = Buffer.concat([last, Buffer.of(0)]);
      const deletion = client.delete().inRange({ start, end: next });
      removed += Number((await deletion.options(inTime()).exec()).deleted);
      start = next;
    }
  }

  /**
   * Resolves if the servers would store something: they promise a transaction what it might write, and none that is out of room
   * or has lost the others does so. What this one would write it never does.
   *
   * @param key one that there never is
   */
  async probe(key: string, end: number): Promise<void> {
    const { client } = this.connection;
    await client
      .if(key, 'Mod', '>', 0)
      .then(client.put(key).value(''))
      .else(client.get(key))
      .options(endingAt(end))
      .commit();
  }

  #remember(record: StoredRecord): void {
    if (record.text === undefined) this.#remembered.delete(record.key);
    else this.#remembered.set(record.key, record);
  }

  /** One transaction: the operations if all records are as expected, else a look at them. */
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
      .options(endingAt(end))
      .commit();
  }
}

function absentRecord(key: string): StoredRecord {
  return { key, text: undefined, revision: '0' };
}

function sizeOf({ key, text = '' }: StoredRecord): number {
  return key.length + text.length + BYTES_EACH;
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
