import type { SettingsStore, StoredSettings } from '../../core/settings-store.js';
import { deadlineAt } from './etcd-client.js';
import type { EtcdConnection } from './etcd-connection.js';

/** The settings of an etcd storage: one key, whose version etcd counts. */
export class EtcdSettings implements SettingsStore {
  readonly #connection: EtcdConnection;
  readonly #key: string;
  readonly #call: <T>(call: () => Promise<T>) => Promise<T>;
  readonly #timeout: number;

  constructor(
    connection: EtcdConnection,
    key: string,
    call: <T>(call: () => Promise<T>) => Promise<T>,
    timeout: number,
  ) {
    this.#connection = connection;
    this.#key = key;
    this.#call = call;
    this.#timeout = timeout;
  }

  async read(): Promise<StoredSettings | undefined> {
    const { kvs } = await this.#call(() =>
      this.#connection.client.get(this.#key).options(this.#deadline()).exec(),
    );
    const [found] = kvs;
    return found === undefined ? undefined : { version: Number(found.version), text: found.value.toString() };
  }

  async write({ version, text }: StoredSettings): Promise<boolean> {
    const { succeeded } = await this.#call(() => {
      const { client } = this.#connection;
      return client
        .if(this.#key, 'Version', '==', version - 1)
        .then(client.put(this.#key).value(text))
        .options(this.#deadline())
        .commit();
    });
    return succeeded;
  }

  #deadline(): ReturnType<typeof deadlineAt> {
    return deadlineAt(performance.now() + this.#timeout);
  }
}
