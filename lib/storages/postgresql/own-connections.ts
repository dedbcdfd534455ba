import { Pool, type PoolConfig } from 'pg';
import { codeOf, type Connections, type Row, type Statement } from './connections.js';

/** Long enough to reach any server; how long a hit waits for that is another matter. */
const MIN_CONNECT_TIMEOUT_MS = 2000;
const IDLE_TIMEOUT_MS = 60_000;

/** After these errors a connection is as good as before: bad values, deadlocks, limits of the server, locks not to be had. */
const HARMLESS = /^(?:2[23]|40|54|55P03)/;

/** A pool that the storage opens and closes. */
export class OwnConnections implements Connections {
  readonly #config: PoolConfig;
  #pool: Pool;

  constructor(config: PoolConfig, timeout: number) {
    this.#config = {
      ...config,
      connectionTimeoutMillis: Math.max(timeout, MIN_CONNECT_TIMEOUT_MS), // none by default
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      keepAlive: true,
    };
    this.#pool = this.#open();
  }

  async query({ text, values }: Statement, late: AbortSignal, timeout: number): Promise<readonly Row[]> {
    const client = await this.#pool.connect();
    if (late.aborted) {
      client.release();
      throw late.reason;
    }
    try {
      // Has no name: behind a pooler, a prepared statement may be another client's.
      const query = {
        text,
        ...(values === undefined ? {} : { values: [...values] }),
        query_timeout: timeout,
      };
      const { rows } = await client.query<Row>(query);
      client.release();
      return rows;
    } catch (error) {
      client.release(!HARMLESS.test(codeOf(error)));
      throw error;
    }
  }

  reconnect(): void {
    const before = this.#pool;
    this.#pool = this.#open();
    before.end().catch(() => undefined);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  #open(): Pool {
    const pool = new Pool(this.#config);
    // An unheard event would end the process. The calls that a lost connection concerns fail on their own.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  }
}
