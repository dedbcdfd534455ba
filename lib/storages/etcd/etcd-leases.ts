import type { Etcd3 } from 'etcd3';
import { deadlineAt } from './etcd-client.js';
import type { EtcdConnection } from './etcd-connection.js';

/** Ms that a lease must last beyond the need, since the servers count in seconds and by another clock. */
const LEASE_MARGIN_MS = 1000;

interface Lease {
  readonly id: string;
  /** Earliest possible expiry, by `performance.now()`. */
  readonly expiresAt: number;
}

/**
 * The leases that make the servers expire records. There is one lease per power of two in seconds,
 * for all records that need at most that time. A lease lasts twice as long, and is replaced when
 * too little of it is left. Leases are never renewed, which would keep unused records, and never
 * revoked, which would drop records that still count. Each expires by itself.
 */
export class EtcdLeases {
  /** By the power of two, in seconds. */
  readonly #leases = new Map<number, Lease>();
  /** Requests in flight. Their client may have been replaced since. */
  readonly #grants = new Map<number, { readonly client: Etcd3; readonly lease: Promise<Lease> }>();

  constructor(private readonly connection: EtcdConnection) {}

  /**
   * Returns the id of a lease that lasts at least `ttl` ms.
   *
   * @param end deadline, by `performance.now()`
   */
  async leaseFor(ttl: number, end: number): Promise<string> {
    const needed = ttl + LEASE_MARGIN_MS;
    const seconds = 2 ** Math.ceil(Math.log2(needed / 1000));
    const lease = this.#leases.get(seconds);
    if (lease !== undefined && lease.expiresAt - performance.now() >= needed) return lease.id;
    return (await this.#grantOnce(seconds, end)).id;
  }

  /** Drops leases that the servers have reported as invalid. */
  forget(ids: readonly (string | undefined)[]): void {
    for (const [seconds, { id }] of this.#leases) {
      if (ids.includes(id)) this.#leases.delete(seconds);
    }
  }

  /** Shares one request among concurrent calls that need the same lease. */
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
    const expiresAt = performance.now() + 2 * seconds * 1000;
    const id = await client.lease(2 * seconds, { autoKeepAlive: false, ...deadlineAt(end) }).grant();
    const lease = { id, expiresAt };
    this.#leases.set(seconds, lease);
    return lease;
  }
}
