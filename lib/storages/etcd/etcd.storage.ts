import type { Etcd3, IOptions } from 'etcd3';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { strategyNames } from '../../strategies/strategies.js';
import { RecordStorage, type Decide } from '../cas/record.storage.js';
import { retryUntilStored } from '../cas/retry-until-stored.js';
import type { StorageCapabilities } from '../../core/contract.js';
import { queueTimeoutError } from '../../common/time.js';
import { settingsKey, type SettingsStore } from '../../core/settings-store.js';
import { assertConnection } from '../given-client.js';
import { findRemedy, type Remedies } from '../remedy.js';
import { identityKey, identityKeys, type ServerStorageOptions } from '../server.storage.js';
import { EtcdConnection } from './etcd-connection.js';
import { etcdAddresses, openEtcd } from './etcd-client.js';
import { EtcdRecords } from './etcd-records.js';
import { EtcdSettings } from './etcd-settings.js';

/** Options of {@link EtcdStorage}. Other options go to `etcd3`, and are refused with a given client. */
export interface EtcdStorageOptions
  extends ServerStorageOptions, Omit<IOptions, 'hosts' | 'faultHandling' | 'defaultCallOptions'> {}

const OWN_OPTIONS = ['clock', 'keyPrefix', 'timeout'];

const REMEDIES: Remedies = [
  [
    /permission denied/i,
    "Grant the user's role readwrite on the prefix of the keys: see docs/storages/etcd.md.",
  ],
  [/user name is empty|authentication failed|invalid auth/i, 'Check user and password in the URI.'],
  [/no leader/i, 'The cluster has no leader: see etcdctl endpoint status.'],
  [
    /database space exceeded/i,
    'The cluster is full: compact and defragment it, then disarm the alarm NOSPACE.',
  ],
  [/not supported for learner/i, 'The server is a learner: name the voting members.'],
];

/** Identities in one transaction: half of the server's default maximum of operations (`--max-txn-ops`). */
const IDENTITIES_TOGETHER = 64;

/**
 * Counts on an etcd cluster, 3.4 or later, by the clock of this machine; keep the clocks of several
 * machines in sync. One transaction decides a batch of any limits and up to 64 identities. It
 * counts only if no other process has changed the records since they were read. Concurrent calls of
 * this process on one identity are combined, so that only processes contend.
 *
 * Every change adds a revision until compaction, so the cluster needs
 * `--auto-compaction-retention`.
 *
 * @throws ConfigurationError when the URI or an option is invalid
 * @example
 * ```ts
 * import { FixedWindowRateLimiter, parse } from 'nestjs-limits';
 * import { EtcdStorage } from 'nestjs-limits/etcd';
 *
 * const limiter = new FixedWindowRateLimiter(new EtcdStorage('etcd://etcd-1:2379,etcd-2:2379,etcd-3:2379'));
 * const allowed = await limiter.hit(parse('10/minute'), 'user', '42');
 * ```
 */
export class EtcdStorage extends RecordStorage {
  override readonly capabilities: StorageCapabilities = {
    atomicity: 'batch',
    clock: 'local',
    strategies: strategyNames,
    maxMovingWindow: 10_000,
  };
  readonly #connection: EtcdConnection;
  readonly #records: EtcdRecords;
  protected override readonly identitiesTogether = IDENTITIES_TOGETHER;

  /**
   * @param connection a URI (`etcd://[user:password@]host:port,host:port`), or a client of `etcd3`.
   *   A client keeps its fault handling; the default one retries calls, which may count a hit twice
   */
  constructor(connection: string | Etcd3, options: EtcdStorageOptions = {}) {
    const { keyPrefix, clock, timeout, ...driverOptions } = options;
    super({ keyPrefix, clock, timeout });
    assertConnection(
      'An EtcdStorage',
      connection,
      ['getAll', 'if', 'put'],
      'a URI or an Etcd3 of the package "etcd3"',
    );
    if (typeof connection !== 'string')
      assertKnownOptions('An EtcdStorage on a given client', withoutUndefined(options), OWN_OPTIONS);
    this.#connection = new EtcdConnection(
      typeof connection === 'string'
        ? {
            open: () => openEtcd(connection, driverOptions, this.timeout),
            addresses: etcdAddresses(connection),
          }
        : connection,
    );
    this.#records = new EtcdRecords(this.#connection);
  }

  protected override probe(): Promise<void> {
    return this.#records.probe(identityKeys(this.keyPrefix), performance.now() + this.timeout);
  }

  override async reset(): Promise<number> {
    return this.call(() => this.#records.removeAll(identityKeys(this.keyPrefix), this.timeout));
  }

  protected override keysAfter(prefix: string, last: string): Promise<readonly string[]> {
    return this.#records.keysAfter(prefix, last, this.timeout);
  }

  override get settings(): SettingsStore {
    const call = <T>(ask: () => Promise<T>): Promise<T> => this.call(ask);
    return new EtcdSettings(this.#connection, settingsKey(this.keyPrefix), call, this.timeout);
  }

  protected override release(): void {
    this.#connection.close();
  }

  protected override remedyFor(cause: unknown): string | undefined {
    return findRemedy(REMEDIES, cause);
  }

  override reconnect(): void {
    if (!this.closed) this.#connection.reconnect();
  }

  protected override async transact(
    identities: readonly string[],
    decide: Decide,
    since: number,
  ): Promise<void> {
    const end = since + this.timeout;
    let records = this.#records.getCached(
      identities.map((identity) => identityKey(this.keyPrefix, identity)),
    );
    let justRead = false;
    const attempt = async (): Promise<boolean> => {
      const writes = decide(records.map(({ text }) => text));
      if (justRead && writes.every((write) => write === undefined)) return true;
      if (performance.now() >= end) throw queueTimeoutError(String(this), this.timeout);
      const changed = await this.call(() => this.#records.replace(records, writes, end));
      if (changed === undefined) return true;
      records = changed;
      justRead = true;
      return false;
    };
    // The first of two attempts may use stale records, from the cache or from before a pause. If it
    // fails, it has read them.
    await retryUntilStored(this, async () => (await attempt()) || attempt());
  }

  /** Calls the store once, and rejects early if the client is replaced. */
  protected override call<T>(call: () => Promise<T>): Promise<T> {
    return super.call(() => this.#connection.use(call));
  }
}
