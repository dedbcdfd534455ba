/**
 * A storage on PostgreSQL. Needs the package `pg`, unless it is given a client.
 *
 * @packageDocumentation
 */

export { PostgreSQLStorage, type PostgreSQLStorageOptions } from './postgresql.storage.js';
export type { PostgreSQLClient } from './connections.js';
