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
import type { SettingsStore, StoredSettings } from '../../core/settings-store.js';
import type { Storage } from '../../core/storage.js';
import { applyShared, storedRules, type SharedRule } from '../../policies/shared-rules.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { RateLimitNetworks, RateLimitRule } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { logger } from '../options/warnings.js';
import { RouteRules } from '../routes/route-rules.js';
import {
  NO_SETTINGS,
  readableRecord,
  readRecord,
  writeRecord,
  type SettingsRecord,
} from './settings-record.js';

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

/** The settings of this process, without the shared ones: from the code, or set at run time. */
interface OwnSettings {
  readonly rules: readonly RateLimitRule[];
  readonly networks: RateLimitNetworks;
}

/** Reads the shared settings regularly, applies them to this process, and writes changes. */
@Injectable()
export class SharedSettingsService
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  readonly #store: SettingsStore | undefined;
  #own: OwnSettings;
  #record: SettingsRecord = NO_SETTINGS;
  /** The stored text that {@link #record} was read from. */
  #stored: StoredSettings | undefined;
  /** Settles when the last read or change does. */
  #lastTurn: Promise<unknown> = Promise.resolve();
  /** Number of the last call of {@link setOwnRules}, and of the last one that was applied. */
  #calls = 0;
  #appliedCall = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  /** What was logged last, so that each problem is logged once. */
  #problem: string | undefined;
  #warning: string | undefined;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) { rules, allow, deny, settings }: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) storage: Storage,
    @Inject(RouteRules) private readonly routeRules: RouteRules,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
  ) {
    this.#own = { rules, networks: { allow, deny } };
    if (!settings.shared) return;
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

  /** Replaces the rules of this process; shared rules still apply to them. Of several calls, the last one holds. */
  setOwnRules(given: readonly RateLimitRule[]): Awaitable<void> {
    const rules = [...given];
    const call = ++this.#calls;
    return chain(this.#load(rules, this.#record), () => {
      if (call < this.#appliedCall) return;
      this.#compile({ ...this.#own, rules }, this.#record)();
      this.#appliedCall = call;
    });
  }

  /** Replaces the lists of this process that are given; a shared list holds instead of one. */
  setOwnNetworks(given: RateLimitNetworks): void {
    this.addresses.prepareNetworks(given); // throws for an invalid one, even if it would not hold
    const networks = { ...this.#own.networks, ...listsIn(given) };
    this.addresses.setNetworks(allLists(networks, this.#record.networks));
    this.#own = { ...this.#own, networks };
  }

  /** Replaces the shared rules. */
  setRules(rules: readonly SharedRule[], change: SharedChange): Promise<SharedSettings> {
    return this.#change(change, (stored) => ({
      ...readableRecord(stored),
      rules: storedRules(rules, this.#own.rules),
    }));
  }

  /** Replaces the shared lists that are given. */
  setNetworks(networks: RateLimitNetworks, change: SharedChange): Promise<SharedSettings> {
    return this.#change(change, (stored) => {
      this.addresses.prepareNetworks(networks); // throws unless they are an object of lists
      const record = readRecord(stored);
      return { ...record, networks: { ...record.networks, ...listsIn(networks) } };
    });
  }

  async #change(
    { everywhere, version }: SharedChange,
    edit: (stored: StoredSettings | undefined) => SettingsRecord,
  ): Promise<SharedSettings> {
    const store = this.#required();
    if (!everywhere || !Number.isSafeInteger(version))
      throw new ConfigurationError(
        `A shared change needs { everywhere: true, version }, with the version that it replaces; got ${describeValue(version)}. ` +
          'sharedSettings() returns it.',
      );
    return this.#inTurn(async () => {
      const before = await store.read();
      if (versionOf(before) !== version) throw lostRace(version, versionOf(before));
      const stored = writeRecord({ ...edit(before), version: version + 1 });
      const record = readRecord(stored); // as other processes read it
      await this.#load(this.#own.rules, record);
      this.#compile(this.#own, record); // throws for settings that are invalid
      if (!(await store.write(stored))) throw lostRace(version, versionOf(await store.read()));
      this.#compile(this.#own, record)(); // again: this process may have changed its own settings during the write
      this.#stored = stored;
      return shown(record);
    });
  }

  #required(): SettingsStore {
    if (this.#store !== undefined) return this.#store;
    throw new ConfigurationError(
      'RateLimitModule shares no settings. Give it the option settings: { shared: true }.',
    );
  }

  /** Reads and changes come one after another, or a slow one would apply settings that are older than those of the one after it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  #schedule(): void {
    if (this.#store === undefined || this.#isStopped) return;
    const wait = INTERVAL_MS * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => void this.#poll().then(() => this.#schedule()), wait).unref();
  }

  /** Reads and applies the settings. Keeps the last ones if that fails. Never rejects. */
  async #poll(): Promise<void> {
    const store = this.#store;
    if (store === undefined) return;
    try {
      await this.#inTurn(async () => {
        const stored = await store.read();
        if (stored?.version === this.#stored?.version && stored?.text === this.#stored?.text) return;
        const record = readRecord(stored);
        await this.#load(this.#own.rules, record);
        this.#compile(this.#own, record)();
        this.#stored = stored;
      });
      this.#problem = undefined;
    } catch (error) {
      if (this.#isStopped) return; // the store may be closed by now
      this.#logOnce(`Shared settings were not applied, and the last ones hold: ${messageOf(error)}`);
    }
  }

  /** Loads what the calendar windows of rules need, so that {@link #compile} is synchronous. */
  #load(rules: readonly RateLimitRule[], record: SettingsRecord): Awaitable<void> {
    return this.routeRules.load(applyShared(rules, record.rules).rules);
  }

  /**
   * Returns a function that applies settings to this process.
   *
   * @throws ConfigurationError if they do not compile
   */
  #compile(own: OwnSettings, record: SettingsRecord): () => void {
    const { rules, outdated } = applyShared(own.rules, record.rules);
    this.addresses.prepareNetworks(record.networks); // throws for an unknown list too
    const replaceNetworks = this.addresses.prepareNetworks(allLists(own.networks, record.networks));
    const replaceRules = this.routeRules.compile(rules);
    return () => {
      replaceRules();
      replaceNetworks();
      this.#own = own;
      this.#record = record;
      this.#warnOf(outdated);
    };
  }

  #warnOf(outdated: readonly string[]): void {
    const warning =
      outdated.length === 0
        ? undefined
        : `Shared rules of version ${this.#record.version} do not apply, because the code has changed these rules since they were written: ` +
          `${outdated.join(', ')}. Write them again, or remove them, with setRules.`;
    if (warning !== undefined && warning !== this.#warning) logger.warn(warning);
    this.#warning = warning;
  }

  #logOnce(problem: string): void {
    if (this.#problem !== problem) logger.error(problem);
    this.#problem = problem;
  }
}

function shown({ version, rules, networks }: SettingsRecord): SharedSettings {
  return { version, rules: rules.map(({ rule }) => rule), networks };
}

function versionOf(stored: StoredSettings | undefined): number {
  return stored?.version ?? 0;
}

/** Returns the lists that are given, without those that are `undefined`. */
function listsIn(networks: RateLimitNetworks): RateLimitNetworks {
  return Object.fromEntries(Object.entries(networks).filter(([, list]) => list !== undefined));
}

/** Returns the lists that hold: the shared ones, else those of this process, else empty ones. */
function allLists(own: RateLimitNetworks, shared: RateLimitNetworks): RateLimitNetworks {
  return { allow: shared.allow ?? own.allow ?? [], deny: shared.deny ?? own.deny ?? [] };
}

function lostRace(expected: number, actual: number): ConcurrentUpdateError {
  return new ConcurrentUpdateError(
    `The shared settings have the version ${actual}, and not ${expected} any more. Read them with sharedSettings() and try again.`,
  );
}
