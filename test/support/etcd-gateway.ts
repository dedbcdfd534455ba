import type { Server } from './servers/server-process.js';

export interface EtcdLease {
  readonly ID: string;
  /** Seconds. */
  readonly grantedTTL: string;
  /** The keys under the lease, in alphabetical order. */
  readonly keys: readonly string[];
}

/** Calls methods of an etcd server that its client lacks. */
export class EtcdGateway {
  constructor(private readonly server: Server) {}

  /** Calls a method of the server, such as `kv/put`. */
  async call<T = unknown>(method: string, body: object): Promise<T> {
    const response = await fetch(`${this.#url}/v3/${method}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method}: ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Returns the number of calls that the server has handled, by method. */
  async calls(): Promise<Record<string, number>> {
    const metrics = await (await fetch(`${this.#url}/metrics`)).text();
    const answered = metrics.matchAll(
      /^grpc_server_handled_total\{grpc_code="OK",grpc_method="(\w+)".*\} (\d+)$/gm,
    );
    return Object.fromEntries([...answered].map(([, method = '', count]) => [method, Number(count)]));
  }

  async leases(): Promise<EtcdLease[]> {
    const { leases = [] } = await this.call<{ leases?: { ID: string }[] }>('lease/leases', {});
    return Promise.all(
      leases.map(async ({ ID }) => {
        const { grantedTTL, keys = [] } = await this.call<Omit<EtcdLease, 'keys'> & { keys?: string[] }>(
          'lease/timetolive',
          { ID, keys: true },
        );
        return { ID, grantedTTL, keys: keys.map((key) => Buffer.from(key, 'base64').toString()).sort() };
      }),
    );
  }

  async revokeAllLeases(): Promise<void> {
    for (const { ID } of await this.leases()) await this.call('lease/revoke', { ID });
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await this.call('kv/deleterange', { key: base64('\0'), range_end: base64('\0') });
    await this.revokeAllLeases();
  }

  get #url(): string {
    return `http://127.0.0.1:${this.server.port}`;
  }
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
