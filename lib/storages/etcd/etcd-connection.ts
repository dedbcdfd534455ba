import type { Etcd3 } from 'etcd3';
import { InFlightCalls } from '../../common/cancellation.js';
import type { HostAndPort } from '../storage-uri.js';
import { probeServers } from './probe-servers.js';

/** Ms that a new client may take to connect before `reconnect` replaces it: TLS and a login may be slow. */
const CONNECT_GRACE_MS = 1000;
/** Timeout of a probe, in ms. */
const PROBE_TIMEOUT_MS = 500;

/** A function that opens a client, and the addresses of its servers. */
export interface EtcdClientSource {
  readonly open: () => Etcd3;
  readonly addresses: readonly HostAndPort[];
}

/**
 * The client of a storage. A client that the storage opened is replaced when it does not respond; a
 * given one never is.
 */
export class EtcdConnection {
  #client: Etcd3;
  /** Undefined for a given client. */
  readonly #source: EtcdClientSource | undefined;
  #begin = performance.now();
  #answered = false;
  #probing = false;
  #closed = false;
  readonly #inFlight = new InFlightCalls();

  /** @param source a given client, or a function that opens one */
  constructor(source: Etcd3 | EtcdClientSource) {
    this.#source = 'open' in source ? source : undefined;
    this.#client = 'open' in source ? source.open() : source;
  }

  get client(): Etcd3 {
    return this.#client;
  }

  /** Returns the result of a call, or rejects when its client is replaced. */
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
   * Replaces the client. Calls in flight reject, so that they do not delay later ones. A client
   * that has never replied is replaced only if a probe shows that a server responds.
   */
  reconnect(): void {
    if (this.#closed) return;
    if (this.#answered) this.#reopen();
    else if (!this.#probing && performance.now() - this.#begin >= CONNECT_GRACE_MS)
      void this.#reopenIfAnswered();
  }

  /** Closes the client if this storage opened it. */
  close(): void {
    this.#closed = true;
    if (this.#source !== undefined) this.#client.close();
  }

  /**
   * Replaces a client that is still connecting only when a probe succeeds, because the driver leaks
   * its connections.
   */
  async #reopenIfAnswered(): Promise<void> {
    if (this.#source === undefined) return;
    this.#probing = true;
    const isAnswered = await probeServers(this.#source.addresses, PROBE_TIMEOUT_MS);
    this.#probing = false;
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
