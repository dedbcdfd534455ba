import { boundedIdentity } from '../common/identity.js';

/** A client, user or tenant whose requests a log contains. */
export interface Identity {
  readonly name: string;
  /** Requests that count. */
  requests: number;
  /** False for one beyond the maximum, whose object is used for one request only. */
  readonly isTracked: boolean;
}

/**
 * The identities of a log, each as one object with one string. There is a maximum, so that a log with
 * many identities does not exhaust memory; those that come later are not tracked.
 */
export class Identities {
  readonly #tracked = new Map<string, Identity>();

  constructor(private readonly max: number) {}

  get(value: string): Identity {
    const name = boundedIdentity(value);
    const known = this.#tracked.get(name);
    if (known !== undefined) return known;
    const isTracked = this.#tracked.size < this.max;
    const identity = { name: copyOf(name), requests: 0, isTracked };
    if (isTracked) this.#tracked.set(identity.name, identity);
    return identity;
  }
}

/** Copies the characters of a text, since the engine keeps the whole chunk of a log for a part of it. */
export function copyOf(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}
