import { MongoClient, type MongoClientOptions } from 'mongodb';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { withoutUndefined } from '../../common/options.js';
import { assertScheme, parseStorageUri, SCHEMES } from '../storage-uri.js';

const FORM =
  'mongodb://user:password@host:27017,host:27017/database or mongodb+srv://user:password@host/database';
const DEFAULT_PORT = 27017;
const DEFAULT_DATABASE = 'limits';

/** Long enough to reach any server; how long a hit waits for that is another matter. */
const MIN_CONNECT_TIMEOUT_MS = 2000;

/**
 * Says how to open a client, and which database to use. The driver's options win over what the URI says, and both over our own.
 *
 * @param timeout ms that a call may take
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
  const ours = Object.entries(bounds(timeout)).filter(([name]) => !inUri.has(name.toLowerCase()));
  const options = { ...Object.fromEntries(ours), ...withoutUndefined(driverOptions) };
  const open = (): MongoClient => new MongoClient(url, options);
  try {
    open(); // nothing of it connects before it is told to
    return { open, database: path.slice(1) || DEFAULT_DATABASE };
  } catch (error) {
    throw new ConfigurationError(
      isReadable(url)
        ? `The options of a MongoDBStorage cannot be used: ${messageOf(error)}`
        : `The URI of a MongoDBStorage cannot be read. It should look like ${FORM}.`, // the driver's words may repeat it
    );
  }
}

/**
 * Nothing in the driver may wait longer than a call, or it would be sent when nobody waits for it any more. Where the driver
 * knows what is wrong, it gives up first, and says so.
 */
function bounds(timeout: number): MongoClientOptions {
  const sooner = Math.ceil(timeout * 0.9);
  return {
    serverSelectionTimeoutMS: sooner,
    waitQueueTimeoutMS: sooner,
    socketTimeoutMS: timeout, // none by default: a server that has stopped would keep its connections for good
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
