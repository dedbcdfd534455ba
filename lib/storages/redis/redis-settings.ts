import type { SettingsStore, StoredSettings } from '../../core/settings-store.js';
import type { RedisClient } from './redis-client.js';

/** Writes a text if the stored version is the one before. KEYS: the hash. ARGV: version, text. Returns 1 if it was written. */
const WRITE = `
if tonumber(redis.call('HGET', KEYS[1], 'version') or 0) ~= ARGV[1] - 1 then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'text', ARGV[2])
return 1`;

/** Calls a server within the timeout of a storage. */
type Call = <T>(call: () => Promise<T>) => Promise<T>;

/** The settings of a Redis storage: one hash with a version and a text. */
export class RedisSettings implements SettingsStore {
  readonly #client: RedisClient;
  readonly #key: string;
  readonly #call: Call;

  constructor(client: RedisClient, key: string, call: Call) {
    this.#client = client;
    this.#key = key;
    this.#call = call;
  }

  async read(): Promise<StoredSettings | undefined> {
    const [version, text] = await this.#call(() => this.#client.hmget(this.#key, 'version', 'text'));
    return typeof version !== 'string' || typeof text !== 'string'
      ? undefined
      : { version: Number(version), text };
  }

  async write({ version, text }: StoredSettings): Promise<boolean> {
    return (await this.#call(() => this.#client.eval(WRITE, 1, this.#key, version, text))) === 1;
  }
}
