/**
 * A storage on MongoDB. Needs the package `mongodb`.
 *
 * @packageDocumentation
 */

export { MongoDBStorage, type MongoDBStorageOptions } from './mongodb.storage.js';
