import type { Etcd3 } from 'etcd3';
import { InFlightCalls } from '../../common/cancellation.js';
import type { HostAndPort } from '../storage-uri.js';
import { probeServers } from './probe-servers.js';

/** Ms that a new client has to connect before it is given up for another: encryption and a login may take long. */
const CONNECT_GRACE_MS = 1000;
/** Ms that servers have to answer to a knock. */
const PROBE_TIMEOUT_MS = 500;

/** How to open a client, and of which servers. */
export interface EtcdClientSource {
  readonly open: () => Etcd3;
  readonly addresses: readonly HostAndPort[];
}

/** The client of a storage: one that was given, or one that it opened, and opens anew when it does not answer. */
export class EtcdConnection {
  #client: Etcd3;
  /** Absent where the client is somebody else's. */
  readonly #source: EtcdClientSource | undefined;
  #begin = performance.now();
  #answered = false;
  #knocking = false;
  #closed = false;
  readonly #inFlight = new InFlightCalls();

  /** @param source a client of somebody else's, or what opens one */
  constructor(source: Etcd3 | EtcdClientSource) {
    this.#source = 'open' in source ? source : undefined;
    this.#client = 'open' in source ? source.open() : source;
  }

  get client(): Etcd3 {
    return this.#client;
  }

  /** What a call answers, unless the client it uses is given up. */
  async use<T>(call: () => Promise<T>): Promise<T> {
    const client = this.#client;
    try {
      const answer = await this.#inFlight.run(call);
      if (client === this.#client) this.#answered = true;
      return answer;
    } catch (error) {
      if (client === this.#client && !this.#answered) this.reconnect();
      throw error;
    }
  }

  /**
   * Goes on with a new client; what is under way fails, and keeps nobody waiting who comes later. One that has not answered yet
   * stays until the servers answer to somebody else.
   */
  reconnect(): void {
    if (this.#closed) return;
    if (this.#answered) this.#reopen();
    else if (!this.#knocking && performance.now() - this.#begin >= CONNECT_GRACE_MS)
      void this.#reopenIfAnswered();
  }

  /** Closes the client, unless it is somebody else's. */
  close(): void {
    this.#closed = true;
    if (this.#source !== undefined) this.#client.close();
  }

  /** Of clients that are given up while they connect, the driver leaves connections behind. So not more than one of them. */
  async #reopenIfAnswered(): Promise<void> {
    if (this.#source === undefined) return;
    this.#knocking = true;
    const isAnswered = await probeServers(this.#source.addresses, PROBE_TIMEOUT_MS);
    this.#knocking = false;
    if (isAnswered && !this.#answered) this.#reopen();
  }

  #reopen(): void {
    if (this.#source === undefined || this.#closed) return;
    const before = this.#client;
    this.#client = this.#source.open();
    this.#begin = performance.now();
    this.#answered = false;
    before.close();
    this.#inFlight.abortAll(new Error('the connection was given up, for it did not answer'));
  }
}
