import { BoundedMap } from '../common/bounded-map.js';
import { encodeIdentifier, joinIdentities } from '../common/identity.js';
import { clientNetwork } from '../http/client-address.js';
import type { PathPattern } from '../policies/path-pattern.js';
import { targetReadings } from '../policies/request-path.js';
import { copyOf } from './identities.js';
import { textAt } from './json.format.js';
import type { LogEntry } from './log-entry.js';

/** Returns the value by which a request is counted; `undefined` if it has none. */
export type Key = (entry: LogEntry) => string | undefined;

/** Networks of IPv6 addresses that are remembered, since a client's lines are near each other; of some 200 bytes each. */
const MAX_NETWORKS = 100_000;
/** Longest address in characters, with a zone and a port. */
const MAX_ADDRESS_LENGTH = 100;
const networks = new BoundedMap<string>(MAX_NETWORKS);

/** The keys that every format has. IPv6 addresses are counted by their /64 network, as in the library. */
export const KEYS: Readonly<Record<'ip' | 'user', Key>> = {
  ip: ({ ip }) => (ip?.includes(':') === true ? networkOf(ip) : ip),
  user: ({ user }) => user,
};

function networkOf(address: string): string {
  const known = networks.get(address);
  if (known !== undefined) return known;
  const network = copyOf(clientNetwork(address));
  if (address.length <= MAX_ADDRESS_LENGTH) networks.set(copyOf(address), network);
  return network;
}

/** Returns the key that is a field of JSON lines. A dot separates the names of nested fields. */
export function fieldKey(name: string): Key {
  const path = name.split('.');
  return ({ record }) => (record === undefined ? undefined : textAt(record, path));
}

/** Returns the key of several parts: a request that lacks one has none. */
export function joinedKey(keys: readonly Key[]): Key {
  const [single] = keys;
  if (single !== undefined && keys.length === 1) return single;
  return (entry) => {
    const parts: string[] = [];
    for (const key of keys) {
      const part = key(entry);
      if (part === undefined) return undefined;
      parts.push(encodeIdentifier(part));
    }
    return joinIdentities(parts);
  };
}

/** Selects requests by method and path. Reads only the fields that it needs: a format may cut them out of the line. */
export class RequestFilter {
  readonly #methods: ReadonlySet<string>;

  /** @param methods in capitals; `GET` is also `HEAD`. Empty lists select all. */
  constructor(
    methods: readonly string[],
    private readonly paths: readonly PathPattern[],
  ) {
    this.#methods = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
  }

  selects(entry: LogEntry): boolean {
    return (
      (this.#methods.size === 0 || this.#selectsMethod(entry)) &&
      (this.paths.length === 0 || this.#selectsPath(entry))
    );
  }

  #selectsMethod({ method }: LogEntry): boolean {
    return method !== undefined && this.#methods.has(method);
  }

  #selectsPath({ path }: LogEntry): boolean {
    if (path === undefined) return false;
    const readings = targetReadings(path);
    return this.paths.some((pattern) => readings.some((reading) => pattern.matches(reading)));
  }
}
