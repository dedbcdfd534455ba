import { Redis } from 'ioredis';

const RUNNING = 'running';
const MOST = 'most';

/** The handlers of several processes that run, counted in a database of Redis that the limiter does not use. */
export class StreamLedger {
  readonly #client: Redis;

  constructor(uri: string) {
    this.#client = new Redis(uri, { lazyConnect: true });
  }

  /** Records that a handler has begun. */
  async begin(): Promise<void> {
    await this.#client.zadd(MOST, 'GT', await this.#client.incr(RUNNING), MOST);
  }

  /** Records that a handler is about to end. */
  async end(): Promise<void> {
    await this.#client.decr(RUNNING);
  }

  /** Returns the handlers that run, and the most that ever ran at once. */
  async read(): Promise<{ most: number; running: number }> {
    const [most, running] = [await this.#client.zscore(MOST, MOST), await this.#client.get(RUNNING)];
    return { most: Number(most), running: Number(running) };
  }

  async clear(): Promise<void> {
    await this.#client.flushdb();
  }

  close(): void {
    this.#client.disconnect();
  }
}
