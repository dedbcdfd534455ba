import { setImmediate } from 'node:timers/promises';
import { CasStorage, type CasStorageOptions, type Replacement, type VersionedText } from 'nestjs-limits';

interface Entry extends VersionedText<number> {
  /** Epoch ms at which the text expires. */
  end: number;
}

/**
 * A store in this process that behaves like a remote one: it replies asynchronously, also to
 * concurrent calls.
 */
export class MapCasServer {
  readonly entries = new Map<string, Entry>();
  /** Every call in order, with its method and key. */
  readonly calls: { method: 'read' | 'compareAndSet'; key: string; won?: boolean; ttl?: number }[] = [];
  /** Called before every reply. It may throw, like a store that is down, or delay the reply. */
  interfere: (method: 'read' | 'compareAndSet', key: string) => void | Promise<void> = () => undefined;
  #versions = 0;

  async read(key: string, now: number): Promise<Entry | undefined> {
    this.calls.push({ method: 'read', key });
    await this.#travel('read', key);
    return this.#live(key, now);
  }

  async compareAndSet(
    key: string,
    text: string,
    version: number | undefined,
    ttl: number,
    now: number,
  ): Promise<boolean> {
    const call = { method: 'compareAndSet' as const, key, ttl, won: false };
    this.calls.push(call);
    await this.#travel('compareAndSet', key);
    if (this.#live(key, now)?.version !== version) return false;
    call.won = true;
    this.entries.set(key, { text, version: ++this.#versions, end: now + ttl });
    await setImmediate();
    return true;
  }

  removeAll(prefix: string): number {
    const keys = [...this.entries.keys()].filter((key) => key.startsWith(prefix));
    for (const key of keys) this.entries.delete(key);
    return keys.length;
  }

  /**
   * Returns the number of calls of a method, without those of the check when an application starts.
   */
  count(method: 'read' | 'compareAndSet'): number {
    return this.calls.filter((call) => call.method === method && !call.key.includes('{start/')).length;
  }

  /**
   * Drops texts as early as allowed, so that a time to live that is too short is noticed. A dropped
   * text does not come back when the clock goes back.
   */
  #live(key: string, now: number): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry !== undefined && now >= entry.end) this.entries.delete(key);
    return this.entries.get(key);
  }

  async #travel(method: 'read' | 'compareAndSet', key: string): Promise<void> {
    await setImmediate();
    await this.interfere(method, key);
  }
}

/** Few, so that tests see several pages. */
const KEYS_PER_PAGE = 200;

/** A compare-and-set storage over a map. Two storages over one server act as two processes. */
export class MapCasStorage extends CasStorage<number> {
  released = 0;

  constructor(
    readonly server: MapCasServer,
    options: CasStorageOptions = {},
  ) {
    super(options);
  }

  protected read(key: string): Promise<VersionedText<number> | undefined> {
    return this.server.read(key, this.clock.now());
  }

  protected compareAndSet(
    key: string,
    text: string,
    version: number | undefined,
    ttl: number,
  ): Promise<boolean> {
    return this.server.compareAndSet(key, text, version, ttl, this.clock.now());
  }

  protected async removeAll(prefix: string): Promise<number> {
    await setImmediate();
    return this.server.removeAll(prefix);
  }

  protected override keysAfter(prefix: string, last: string): string[] {
    const keys = [...this.server.entries.keys()].filter((key) => key.startsWith(prefix) && key > last);
    return keys.sort().slice(0, KEYS_PER_PAGE);
  }

  protected probe(): void {}

  protected override release(): void {
    this.released++;
  }
}

/** The same store, which reads and replaces several keys in one call. */
export class GatheringCasStorage extends MapCasStorage {
  /** Every call of several keys in order, with their number. */
  readonly calls: [method: 'readMany' | 'compareAndSetMany', keys: number][] = [];
  /** Called before every call of several keys. It may throw, or delay the call. */
  interfere: (method: 'readMany' | 'compareAndSetMany') => void | Promise<void> = () => undefined;

  protected override async readMany(keys: readonly string[]): Promise<(VersionedText<number> | undefined)[]> {
    this.calls.push(['readMany', keys.length]);
    await this.interfere('readMany');
    return Promise.all(keys.map((key) => this.read(key)));
  }

  protected override async compareAndSetMany(
    replacements: readonly Replacement<number>[],
  ): Promise<(boolean | Error)[]> {
    this.calls.push(['compareAndSetMany', replacements.length]);
    await this.interfere('compareAndSetMany');
    return Promise.all(
      replacements.map(({ key, text, version, ttl }) =>
        this.compareAndSet(key, text, version, ttl).catch((error: unknown) => error as Error),
      ),
    );
  }
}
