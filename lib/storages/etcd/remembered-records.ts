/** A record as the servers hold it; where they hold none, without a text and with the revision '0'. */
export interface StoredRecord {
  readonly key: string;
  readonly text: string | undefined;
  readonly revision: string;
}

export function absentRecord(key: string): StoredRecord {
  return { key, text: undefined, revision: '0' };
}

/** About as many bytes as all that is remembered takes: some ten thousand identities. */
const MAX_BYTES = 8_000_000;
/** About the bytes that a record takes beside its key and its text. */
const BYTES_EACH = 150;

/** The records that this process wrote or read last. They may be out of date: their revisions tell. */
export class RememberedRecords {
  readonly #records = new Map<string, StoredRecord>();
  #bytes = 0;

  get(key: string): StoredRecord {
    return this.#records.get(key) ?? absentRecord(key);
  }

  set(record: StoredRecord): void {
    this.#forget(record.key);
    if (record.text === undefined) return; // what is not remembered is taken for absent anyway
    this.#records.set(record.key, record);
    this.#bytes += sizeOf(record);
    for (const oldest of this.#records.keys()) {
      if (this.#bytes <= MAX_BYTES) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    const record = this.#records.get(key);
    if (record === undefined) return;
    this.#records.delete(key);
    this.#bytes -= sizeOf(record);
  }
}

function sizeOf({ key, text = '' }: StoredRecord): number {
  return key.length + text.length + BYTES_EACH;
}
