import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

/** A proxy between clients and a server on this machine that can delay, drop and cut traffic. */
export class TcpProxy {
  /** Traffic that is dropped, while connections stay open. */
  swallows: 'nothing' | 'requests' | 'answers' = 'nothing';
  /** Delay of every chunk of a reply, in ms. */
  delay = 0;
  /** Maximum bytes of a reply in one packet. */
  pieceSize = Infinity;
  /** Bytes of replies that still pass before the connection is cut, once. */
  cutsAfter = Infinity;
  /** Everything that clients have sent, as Latin-1. */
  requests = '';
  /** Number of connections made. */
  connections = 0;
  /** True if new connections are black holes: nothing passes, not even their end. */
  #isHole = false;
  readonly #open = new Set<() => void>();
  /** Clients that no traffic reaches. */
  readonly #lost = new Set<Socket>();
  readonly #clients = new Set<Socket>();
  readonly #listener: Server;

  private constructor(private readonly target: number) {
    this.#listener = createServer({ allowHalfOpen: true }, (client) => this.#join(client));
  }

  /** Starts to listen on a free port of the loopback address. */
  static async to(port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port);
    await once(proxy.#listener.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Number of connections that clients have not ended. */
  get openConnections(): number {
    return this.#clients.size;
  }

  /** Cuts all connections. New ones work. */
  cut(): void {
    for (const end of this.#open) end();
  }

  /**
   * Drops all traffic, as if the server's machine had disappeared. Connections that exist then, or
   * are made until it is reset, never work again; later ones do.
   */
  set blackHole(isHole: boolean) {
    this.#isHole = isHole;
    if (isHole) for (const client of this.#clients) this.#lost.add(client);
  }

  /** Cuts the connections and refuses new ones. */
  close(): void {
    this.#listener.close();
    this.cut();
  }

  #join(client: Socket): void {
    this.connections++;
    const server = connect(this.target, '127.0.0.1');
    this.#clients.add(client);
    if (this.#isHole) this.#lost.add(client);
    const end = (): void => {
      this.#open.delete(end);
      this.#clients.delete(client);
      this.#lost.delete(client);
      client.destroy();
      server.destroy();
    };
    this.#open.add(end);
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', end);
    client.on('close', end);
    client.on('end', () => {
      this.#clients.delete(client);
      if (!this.#lost.has(client)) end();
    });
    client.on('data', (request) => {
      this.requests += request.toString('latin1');
      if (this.swallows !== 'requests' && !this.#lost.has(client)) server.write(request);
    });
    void this.#answer(server, client).then(end, end);
  }

  async #answer(server: Socket, client: Socket): Promise<void> {
    for await (const answer of server as AsyncIterable<Buffer>) {
      if (this.swallows === 'answers' || this.#lost.has(client)) continue;
      for (let from = 0; from < answer.length;) {
        const piece = answer.subarray(from, from + Math.min(this.pieceSize, this.cutsAfter));
        await (this.delay > 0 ? sleep(this.delay) : setImmediate());
        await new Promise((sent) => {
          client.write(piece, sent);
        });
        from += piece.length;
        this.cutsAfter -= piece.length;
        if (this.cutsAfter > 0) continue;
        this.cutsAfter = Infinity;
        return;
      }
    }
  }
}
