import { encodeIdentifier, joinIdentities } from '../common/identity.js';
import { clientNetwork } from '../http/client-address.js';
import type { PathPattern } from '../policies/path-pattern.js';
import { targetReadings } from '../policies/request-path.js';
import { textAt } from './json.format.js';
import type { LogEntry } from './log-entry.js';

/** Returns the value by which a request is counted; `undefined` if it has none. */
export type Key = (entry: LogEntry) => string | undefined;

/** The keys that every format has. IPv6 addresses are counted by their /64 network, as in the library. */
export const KEYS: Readonly<Record<'ip' | 'user', Key>> = {
  ip: ({ ip }) => (ip === undefined ? undefined : clientNetwork(ip)),
  user: ({ user }) => user,
};

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

/** Selects requests by method and path. */
export class RequestFilter {
  readonly #methods: ReadonlySet<string>;

  /** @param methods in capitals; `GET` is also `HEAD`. Empty lists select all. */
  constructor(
    methods: readonly string[],
    private readonly paths: readonly PathPattern[],
  ) {
    this.#methods = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
  }

  selects({ method, path }: LogEntry): boolean {
    if (this.#methods.size > 0 && (method === undefined || !this.#methods.has(method))) return false;
    if (this.paths.length === 0) return true;
    if (path === undefined) return false;
    const readings = targetReadings(path);
    return this.paths.some((pattern) => readings.some((reading) => pattern.matches(reading)));
  }
}
