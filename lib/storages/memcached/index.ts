/**
 * Storages on Memcached. Needs no other package.
 *
 * @packageDocumentation
 */

export { GAEMemcachedStorage, MemcachedStorage, type MemcachedStorageOptions } from './memcached.storage.js';
