import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { describeValue, messageOf } from '../../common/describe.js';
import { ConcurrentUpdateError, ConfigurationError } from '../../common/errors.js';
import type { SettingsStore } from '../../core/settings-store.js';
import type { Storage } from '../../core/storage.js';
import { applyShared, storedRules, type SharedRule } from '../../policies/shared-rules.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { RateLimitNetworks, RateLimitRule } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { logger } from '../options/warnings.js';
import { RouteRules } from '../routes/route-rules.js';
import { NO_SETTINGS, readRecord, writeRecord, type SettingsRecord } from './settings-record.js';

/** The settings that all processes on a store share. */
export interface SharedSettings {
  /** Counts the changes; 0 if there was none. A change is given the version that it replaces. */
  readonly version: number;
  /** The shared rules, in the order in which they were given. */
  readonly rules: readonly SharedRule[];
  /** The shared lists of networks; those that are absent are the lists of each process. */
  readonly networks: RateLimitNetworks;
}

/** Makes a change hold in every process. */
export interface SharedChange {
  /** True: the change is written to the store. */
  readonly everywhere: true;
  /** The version of the settings that the change replaces, from `sharedSettings()`; 0 for the first change. */
  readonly version: number;
}

/** Mean time between two reads of the store, in ms. Varied by a fifth, so that processes do not read at once. */
const INTERVAL_MS = 1800;

/** Reads the shared settings regularly, applies them to this process, and writes changes. */
@Injectable()
export class SharedSettingsService
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  readonly #store: SettingsStore | undefined;
  /** The rules of the code, or those that this process has set for itself. */
  #own: readonly RateLimitRule[];
  #record: SettingsRecord = NO_SETTINGS;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  /** What was logged last, so that each problem is logged once. */
  #problem: string | undefined;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) storage: Storage,
    @Inject(RouteRules) private readonly routeRules: RouteRules,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
  ) {
    this.#own = options.rules;
    if (!options.settings.shared) return;
    this.#store = storage.settings;
    if (this.#store === undefined)
      throw new ConfigurationError(
        `RateLimitModule: ${storage} cannot share settings, as the option "settings" demands. Redis, PostgreSQL, MongoDB and etcd can.`,
      );
  }

  /** Applies the shared settings before the first request. Without the store, those of the code hold. */
  async onModuleInit(): Promise<void> {
    await this.#poll();
  }

  onApplicationBootstrap(): void {
    this.#schedule();
  }

  beforeApplicationShutdown(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Returns the settings of the store. */
  async read(): Promise<SharedSettings> {
    return shown(readRecord(await this.#required().read()));
  }

  /** Replaces the rules of this process; shared rules still apply to them. */
  setOwnRules(rules: readonly RateLimitRule[]): Awaitable<void> {
    const own = [...rules];
    return chain(this.routeRules.set(applyShared(own, this.#record.rules).rules), () => {
      this.#own = own;
    });
  }

  /** Replaces the shared rules. */
  setRules(rules: readonly SharedRule[], change: SharedChange): Promise<SharedSettings> {
    return this.#change(change, (record) => ({ ...record, rules: storedRules(rules, this.#own) }));
  }

  /** Replaces the shared lists that are given. */
  setNetworks(networks: RateLimitNetworks, change: SharedChange): Promise<SharedSettings> {
    return this.#change(change, (record) => ({ ...record, networks: { ...record.networks, ...networks } }));
  }

  async #change(
    { everywhere, version }: SharedChange,
    edit: (record: SettingsRecord) => SettingsRecord,
  ): Promise<SharedSettings> {
    const store = this.#required();
    if (!everywhere || !Number.isSafeInteger(version))
      throw new ConfigurationError(
        `A shared change needs { everywhere: true, version }, with the version that it replaces; got ${describeValue(version)}. ` +
          'sharedSettings() returns it.',
      );
    const before = readRecord(await store.read());
    if (before.version !== version) throw lostRace(version, before.version);
    const record = { ...edit(before), version: version + 1 };
    const apply = await this.#prepare(record);
    if (!(await store.write(writeRecord(record)))) throw lostRace(version, (await this.read()).version);
    apply();
    return shown(record);
  }

  #required(): SettingsStore {
    if (this.#store !== undefined) return this.#store;
    throw new ConfigurationError(
      'RateLimitModule shares no settings. Give it the option settings: { shared: true }.',
    );
  }

  #schedule(): void {
    if (this.#store === undefined || this.#isStopped) return;
    const wait = INTERVAL_MS * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => void this.#poll().then(() => this.#schedule()), wait).unref();
  }

  /** Reads and applies the settings. Keeps the last ones if that fails. Never rejects. */
  async #poll(): Promise<void> {
    if (this.#store === undefined) return;
    try {
      const record = readRecord(await this.#store.read());
      if (record.version !== this.#record.version) (await this.#prepare(record))();
      this.#problem = undefined;
    } catch (error) {
      this.#logOnce(`Shared settings were not applied, and the last ones hold: ${messageOf(error)}`);
    }
  }

  /**
   * Returns a function that applies settings to this process.
   *
   * @throws ConfigurationError if they do not compile
   */
  async #prepare(record: SettingsRecord): Promise<() => void> {
    const { rules, outdated } = applyShared(this.#own, record.rules);
    const replaceNetworks = this.addresses.prepareNetworks(record.networks);
    const replaceRules = await this.routeRules.prepare(rules);
    return () => {
      replaceRules();
      replaceNetworks();
      this.#record = record;
      if (outdated.length > 0)
        logger.warn(
          `Shared rules of version ${record.version} do not apply, because the code has changed these rules since they were written: ` +
            `${outdated.join(', ')}. Write them again, or remove them, with setRules.`,
        );
    };
  }

  #logOnce(problem: string): void {
    if (this.#problem !== problem) logger.error(problem);
    this.#problem = problem;
  }
}

function shown({ version, rules, networks }: SettingsRecord): SharedSettings {
  return { version, rules: rules.map(({ rule }) => rule), networks };
}

function lostRace(expected: number, actual: number): ConcurrentUpdateError {
  return new ConcurrentUpdateError(
    `The shared settings have the version ${actual}, and not ${expected} any more. Read them with sharedSettings() and try again.`,
  );
}
