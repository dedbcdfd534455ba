import { MongoClient, type MongoClientOptions } from 'mongodb';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { withoutUndefined } from '../../common/options.js';
import { assertScheme, parseStorageUri, SCHEMES } from '../storage-uri.js';

const FORM =
  'mongodb://user:password@host:27017,host:27017/database or mongodb+srv://user:password@host/database';
const DEFAULT_PORT = 27017;
const DEFAULT_DATABASE = 'limits';

/** Shortest timeout of a connection, in ms. Long enough to reach any server; a call may time out earlier. */
const MIN_CONNECT_TIMEOUT_MS = 2000;

/**
 * Returns a function that opens a client, and the name of the database. Driver options override the
 * URI, and both override the defaults of this storage.
 *
 * @param timeout timeout of a call, in ms
 * @throws ConfigurationError when the URI or an option is malformed
 */
export function openMongo(
  uri: string,
  timeout: number,
  driverOptions: MongoClientOptions,
): { open: () => MongoClient; database: string } {
  const { scheme, path, query } = parseStorageUri(uri, FORM, DEFAULT_PORT);
  assertScheme('A MongoDBStorage', scheme, SCHEMES.mongodb, FORM);
  const url = uri.replace(/^[^:]+/, scheme);
  const inUri = new Set([...query.keys()].map((name) => name.toLowerCase()));
  const defaults = Object.entries(defaultTimeouts(timeout)).filter(
    ([name]) => !inUri.has(name.toLowerCase()),
  );
  const options = { ...Object.fromEntries(defaults), ...withoutUndefined(driverOptions) };
  const open = (): MongoClient => new MongoClient(url, options);
  try {
    open(); // validates the options: a client does not connect by itself
    return { open, database: path.slice(1) || DEFAULT_DATABASE };
  } catch (error) {
    throw new ConfigurationError(
      isReadable(url)
        ? `The options of a MongoDBStorage cannot be used: ${messageOf(error)}`
        : `The URI of a MongoDBStorage cannot be read. It should look like ${FORM}.`, // the driver's message may contain the URI
    );
  }
}

/**
 * Returns the driver's timeouts. No command may be sent after its call has timed out, so they do
 * not exceed the timeout of a call. Server selection and the wait queue time out first, since the
 * driver's errors name the cause.
 */
function defaultTimeouts(timeout: number): MongoClientOptions {
  const driverTimeout = Math.ceil(timeout * 0.9);
  return {
    serverSelectionTimeoutMS: driverTimeout,
    waitQueueTimeoutMS: driverTimeout,
    socketTimeoutMS: timeout, // infinite by default: connections to a stopped server would stay open
    connectTimeoutMS: Math.max(timeout, MIN_CONNECT_TIMEOUT_MS),
  };
}

function isReadable(url: string): boolean {
  try {
    new MongoClient(url);
    return true;
  } catch {
    return false;
  }
}
