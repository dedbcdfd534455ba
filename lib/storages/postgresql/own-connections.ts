import { Socket } from 'node:net';
import { Client, Pool, type ClientBase, type PoolConfig } from 'pg';
import { codeOf, type Connections, type Row, type Statement } from './connections.js';

/** Enough time to reach any server. The timeout of a call applies besides. */
const MIN_CONNECT_TIMEOUT_MS = 2000;
const IDLE_TIMEOUT_MS = 60_000;

/**
 * Errors after which a connection is still usable: invalid values, deadlocks, limits of the server,
 * lock timeouts.
 */
const HARMLESS = /^(?:2[23]|40|54|55P03)/;

/** A pool of the storage's own, which it opens and closes. */
export class OwnConnections implements Connections {
  readonly #config: PoolConfig;
  /** The sockets of clients that have not connected yet. */
  readonly #connecting = new Map<ClientBase, Socket>();
  #pool: Pool;

  constructor(config: PoolConfig, timeout: number) {
    this.#config = {
      ...config,
      connectionTimeoutMillis: Math.max(timeout, MIN_CONNECT_TIMEOUT_MS), // no timeout by default
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
      // Without a name: behind a pooler, a prepared statement may belong to another client.
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

  async close(): Promise<void> {
    const ended = this.#pool.end();
    for (const socket of this.#connecting.values()) socket.destroy(); // the pool would wait for them
    await ended;
  }

  #open(): Pool {
    const pool = new Pool({ ...this.#config, Client: this.#clientClass() });
    // Without a listener, the event would end the process. The calls on a lost connection reject.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => {
      this.#connecting.delete(client);
      client.on('error', () => undefined);
    });
    return pool;
  }

  /** Returns a class of clients whose sockets are known until they have connected. */
  #clientClass(): new () => ClientBase {
    const [config, connecting] = [this.#config, this.#connecting];
    return class extends Client {
      constructor() {
        const socket = new Socket();
        super({ ...config, stream: () => socket });
        connecting.set(this, socket);
        socket.once('close', () => connecting.delete(this));
      }
    };
  }
}
