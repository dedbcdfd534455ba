import type { Etcd3 } from 'etcd3';
import { endingAt } from './etcd-client.js';
import type { EtcdConnection } from './etcd-connection.js';

/** How much longer than needed a lease must last, in ms: the servers count in seconds, and by a clock of their own. */
const LEASE_MARGIN_MS = 1000;

interface Lease {
  readonly id: string;
  /** At the earliest, by `performance.now()`. */
  readonly diesAt: number;
}

/**
 * The leases that records are stored under, so that the servers forget them: one per power of two in seconds, for all
 * records that need at most so long. It lasts twice as long and serves while enough is left of it; then another takes its
 * place. None is renewed, which would keep what nobody needs any more, nor revoked, which would forget what still counts:
 * each runs out by itself.
 */
export class EtcdLeases {
  /** By the seconds they serve. */
  readonly #leases = new Map<number, Lease>();
  /** Those under way, of a client that may have been given up. */
  readonly #grants = new Map<number, { readonly client: Etcd3; readonly lease: Promise<Lease> }>();

  constructor(private readonly connection: EtcdConnection) {}

  /**
   * The id of a lease that lasts long enough.
   *
   * @param ttl ms
   * @param end when to give up, by `performance.now()`
   */
  async lasting(ttl: number, end: number): Promise<string> {
    const needed = ttl + LEASE_MARGIN_MS;
    const seconds = 2 ** Math.ceil(Math.log2(needed / 1000));
    const lease = this.#leases.get(seconds);
    if (lease !== undefined && lease.diesAt - performance.now() >= needed) return lease.id;
    return (await this.#grantOnce(seconds, end)).id;
  }

  /** Uses no more what the servers do not know any more. */
  forget(ids: readonly (string | undefined)[]): void {
    for (const [seconds, { id }] of this.#leases) {
      if (ids.includes(id)) this.#leases.delete(seconds);
    }
  }

  /** Those who need the same lease at the same time share it. */
  #grantOnce(seconds: number, end: number): Promise<Lease> {
    const { client } = this.connection;
    const before = this.#grants.get(seconds);
    if (before?.client === client) return before.lease;
    const lease = this.#grant(client, seconds, end);
    const grant = { client, lease };
    this.#grants.set(seconds, grant);
    return lease.finally(() => {
      if (this.#grants.get(seconds) === grant) this.#grants.delete(seconds);
    });
  }

  async #grant(client: Etcd3, seconds: number, end: number): Promise<Lease> {
    const diesAt = performance.now() + 2 * seconds * 1000;
    const id = await client.lease(2 * seconds, { autoKeepAlive: false, ...endingAt(end) }).grant();
    const lease = { id, diesAt };
    this.#leases.set(seconds, lease);
    return lease;
  }
}
