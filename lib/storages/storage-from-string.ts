import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';
import { MemoryStorage, type MemoryStorageOptions } from './memory/memory.storage.js';
import type { Storage } from './storage.js';

/** Options of whichever storage the URI names. */
export type StorageFromStringOptions = MemoryStorageOptions;

type Opener = (uri: string, options: StorageFromStringOptions) => Promise<Storage>;

const openers: Readonly<Record<string, Opener>> = {
  memory: async (_uri, options) => new MemoryStorage(options),
};

/**
 * Opens the storage that a URI names, for example `memory://`.
 *
 * @param options go to the storage's constructor
 * @throws ConfigurationError when the scheme is not known, naming those that are; never shows what follows the scheme
 * @example
 * ```ts
 * import { storageFromString } from 'nestjs-limits';
 *
 * const storage = await storageFromString('memory://', { maxKeys: 100_000 });
 * ```
 */
export async function storageFromString(
  uri: string,
  options: StorageFromStringOptions = {},
): Promise<Storage> {
  const schemes = Object.keys(openers).map((scheme) => `${scheme}://`);
  if (typeof uri !== 'string') {
    throw new ConfigurationError(
      `A storage URI must be a string; got ${describeValue(uri)}. Known schemes: ${schemes.join(', ')}.`,
    );
  }
  const scheme = /^(?:async\+)?([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  const open = scheme !== undefined && Object.hasOwn(openers, scheme) ? openers[scheme] : undefined;
  if (open === undefined) {
    const given = scheme === undefined ? 'has no scheme' : `has the unknown scheme "${scheme}://"`;
    throw new ConfigurationError(`The storage URI ${given}. Known schemes: ${schemes.join(', ')}.`);
  }
  return open(uri, options);
}
