export { MongoDBStorage, type MongoDBStorageOptions } from './mongodb.storage.js';
