import { describe, expect, it, jest } from '@jest/globals';
import { ConfigurationError, storageFromString } from 'nestjs-limits';

/** Makes the import of a folder fail as if a package was not installed, or in another way. */
function failingImport(folder: string, error: Error): void {
  jest.unstable_mockModule(`../../../lib/storages/${folder}/index.js`, () => {
    throw error;
  });
}

describe('A storage whose driver cannot be loaded', () => {
  it.each([
    ['redis', 'redis://host', 'ioredis', 'ERR_MODULE_NOT_FOUND'],
    ['mongodb', 'mongodb://host', 'mongodb', 'MODULE_NOT_FOUND'],
    ['etcd', 'etcd://host', 'etcd3', 'ERR_MODULE_NOT_FOUND'],
    ['postgresql', 'postgres://host', 'pg', 'ERR_MODULE_NOT_FOUND'],
  ])('reports that %s needs its package', async (folder, uri, driver, code) => {
    const cause = Object.assign(new Error(`Cannot find package '${driver}' imported from x`), { code });
    failingImport(folder, cause);
    const error: unknown = await storageFromString(uri).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({
      message: `A storage at "${uri.slice(0, -4)}" needs the package "${driver}": npm install ${driver}`,
      cause,
    });
  });

  it.each([
    ["Cannot find package 'debug' imported from ioredis", 'ERR_MODULE_NOT_FOUND'],
    ["'ioredis' is broken", 'ERR_INTERNAL_ASSERTION'],
  ])('does not report another failure so: %s', async (message, code) => {
    const error = Object.assign(new Error(message), { code });
    failingImport('redis', error);
    await expect(storageFromString('redis://host')).rejects.toBe(error);
  });
});
