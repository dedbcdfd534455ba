/**
 * A storage on PostgreSQL. Needs the package `pg`, unless you pass a client.
 *
 * @packageDocumentation
 */

export { PostgreSQLStorage } from './postgresql.storage.js';
export type { PostgreSQLStorageOptions } from './postgresql.options.js';
export type { PostgreSQLClient } from './connections.js';
