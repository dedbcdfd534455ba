export { GAEMemcachedStorage, MemcachedStorage, type MemcachedStorageOptions } from './memcached.storage.js';
