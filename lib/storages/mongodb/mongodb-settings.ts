import type { Collection } from 'mongodb';
import type { SettingsStore, StoredSettings } from '../../core/settings-store.js';
import type { IdentityDocument } from './limits-collection.js';
import { DUPLICATE_KEY } from './mongodb-updates.js';

/** The document of the settings, in the collection of the identities. It has no `expireAt`, so it does not expire. */
interface SettingsDocument {
  readonly _id: string;
  readonly settings: string;
  readonly revision: number;
}

/** Calls the server within the timeout of a storage. */
type Use = <T>(call: (collection: Collection<IdentityDocument>) => Promise<T>) => Promise<T>;

/** The settings of a MongoDB storage: one document. */
export class MongoDBSettings implements SettingsStore {
  readonly #key: string;
  readonly #use: Use;

  constructor(key: string, use: Use) {
    this.#key = key;
    this.#use = use;
  }

  async read(): Promise<StoredSettings | undefined> {
    const found = await this.#use((collection) => settingsOf(collection).findOne({ _id: this.#key }));
    return found === null ? undefined : { version: found.revision, text: found.settings };
  }

  async write({ version, text }: StoredSettings): Promise<boolean> {
    const isFirst = version === 1;
    const filter = { _id: this.#key, revision: isFirst ? { $exists: false } : version - 1 };
    const change = { $set: { settings: text, revision: version } };
    return this.#use(async (collection) => {
      try {
        const result = await settingsOf(collection).updateOne(filter, change, { upsert: isFirst });
        return result.matchedCount + result.upsertedCount === 1;
      } catch (error) {
        if ((error as { code?: unknown }).code === DUPLICATE_KEY) return false; // another process wrote first
        throw error;
      }
    });
  }
}

function settingsOf(collection: Collection<IdentityDocument>): Collection<SettingsDocument> {
  return collection as unknown as Collection<SettingsDocument>;
}
