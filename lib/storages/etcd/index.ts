/**
 * A storage on etcd. Needs the package `etcd3`.
 *
 * @packageDocumentation
 */

export { EtcdStorage, type EtcdStorageOptions } from './etcd.storage.js';
