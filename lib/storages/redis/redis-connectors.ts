import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, SentinelConnector, type Redis, type RedisOptions } from 'ioredis';

/**
 * Ms until the driver destroys a socket that it has ended. A dead connection never closes by
 * itself.
 */
export const DISCONNECT_TIMEOUT_MS = 100;

type Connector = new (options: unknown) => AbstractConnector;

/**
 * Returns a connector for the servers of one cluster, and a function that destroys the sockets that
 * the driver left open.
 *
 * The driver reads the slots over separate connections. It keeps no reference to them, so they
 * outlive the client by up to their timeout when a server accepts connections and never replies.
 */
export function clusterConnector(): { Connector: Connector; destroySockets: () => void } {
  const sockets = new Set<Socket>();
  class ClusterConnector extends AbstractConnector {
    #socket: Socket | undefined;
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      const given = options as RedisOptions;
      super(given.disconnectTimeout ?? DISCONNECT_TIMEOUT_MS);
      this.#options = given;
    }

    override async connect(): Promise<Socket> {
      this.connecting = true;
      await Promise.resolve(); // the caller may disconnect in the same turn
      if (!this.connecting) throw new Error('Connection is closed.');
      const socket = openSocket(this.#options);
      this.#socket = this.stream = socket;
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.once('error', (error) => (this.firstError = error));
      return socket;
    }

    override disconnect(): void {
      this.connecting = false;
      if (this.#socket === undefined || this.#socket.destroyed) return; // the driver's timer would never be cleared
      sockets.delete(this.#socket);
      super.disconnect();
    }
  }
  return { Connector: ClusterConnector, destroySockets: () => sockets.forEach((socket) => socket.destroy()) };
}

/** Opens a socket by the same options as the driver's own connector, which it does not export. */
function openSocket({ path, port, host, family, tls }: RedisOptions): Socket {
  const address = path ? { path } : { port, host, family };
  return tls ? connectTls({ ...address, ...tls } as NetConnectOpts) : connectTcp(address as NetConnectOpts);
}

/**
 * The driver's method that opens a client for one sentinel. It is private in the driver's types.
 */
interface SentinelClients extends AbstractConnector {
  connect(emit: (type: string, error: Error) => void): Promise<Socket>;
  connectToSentinel(endpoint: unknown, options?: Partial<RedisOptions>): Redis;
}

const BaseConnector = SentinelConnector as unknown as new (options: unknown) => SentinelClients;

/**
 * Finds the primary through sentinels as the driver does by default, and also disconnects from them
 * when the client is closed. The driver would wait for a sentinel's reply, and two seconds more.
 */
export class SentinelPrimaryConnector extends BaseConnector {
  readonly #clients = new Set<Redis>();

  override connectToSentinel(endpoint: unknown, options: Partial<RedisOptions> = {}): Redis {
    const client = super.connectToSentinel(endpoint, {
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      ...options,
    });
    this.#clients.add(client);
    client.once('end', () => this.#clients.delete(client));
    if (!this.connecting) client.disconnect();
    return client;
  }

  override disconnect(): void {
    super.disconnect();
    for (const client of this.#clients) client.disconnect();
  }
}
