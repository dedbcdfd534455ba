import type { ConnectionOptions } from 'node:tls';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import {
  assertBoolean,
  assertKnownOptions,
  assertWholeNumber,
  withoutUndefined,
} from '../../common/options.js';
import type { StorageOptions } from '../../core/storage.js';
import type { PostgreSQLClient } from './connections.js';

/** Options of {@link PostgreSQLStorage}. */
export interface PostgreSQLStorageOptions extends StorageOptions {
  /** Ms within which a call is answered or fails, waiting for its turn included. Default: 1000. */
  timeout?: number | undefined;
  /** The schema of the tables and functions, which the storage creates. Default: `'nestjs_limits'`. */
  schema?: string | undefined;
  /**
   * True to log the tables, so that counts survive a crash or failover, except for the last 0.6 s. Costs about 140 bytes of WAL
   * per decision. Read when the tables are created. Default: false, since a crash or failover may empty counts.
   */
  durable?: boolean | undefined;
  /** Connections of the storage's own pool, at most. With a given client: calls in flight at once. Default: 4. */
  connections?: number | undefined;
  /** TLS options of `node:tls`, added to those of the URI's `sslmode`. Not for a given client. */
  ssl?: boolean | ConnectionOptions | undefined;
}

/** Options that are always there. */
export type ResolvedOptions = Required<Pick<PostgreSQLStorageOptions, 'ssl'>> & {
  readonly schema: string;
  readonly durable: boolean;
  readonly connections: number;
};

const OPTIONS = ['clock', 'connections', 'durable', 'keyPrefix', 'schema', 'timeout'];
const URI_OPTIONS = ['ssl'];
const MAX_PREFIX_LENGTH = 200;
const MAX_SCHEMA_BYTES = 63;
/** A dollar sign might end the text of a function. */
const SCHEMA = /^(?!pg_)[^\0$]+$/;

/** @throws ConfigurationError if an option is impossible */
export function resolveOptions(
  connection: string | PostgreSQLClient,
  options: PostgreSQLStorageOptions,
): ResolvedOptions {
  const isUri = typeof connection === 'string';
  if (!isUri && typeof (connection as Partial<PostgreSQLClient> | undefined)?.query !== 'function') {
    throw new ConfigurationError(
      `A PostgreSQLStorage needs a URI, or a client with a method "query"; got ${describeValue(connection)}.`,
    );
  }
  assertKnownOptions(
    isUri ? 'A PostgreSQLStorage' : 'A PostgreSQLStorage on a given client',
    withoutUndefined(options),
    isUri ? [...OPTIONS, ...URI_OPTIONS] : OPTIONS,
  );
  const { schema = 'nestjs_limits', durable = false, connections = 4, ssl, keyPrefix = '' } = options;
  if (typeof schema !== 'string' || !SCHEMA.test(schema) || Buffer.byteLength(schema) > MAX_SCHEMA_BYTES) {
    throw new ConfigurationError(
      `The schema of a PostgreSQLStorage must be a name of 1 to ${MAX_SCHEMA_BYTES} bytes without "$" that does not begin with "pg_"; ` +
        `got ${describeValue(schema)}.`,
    );
  }
  if (keyPrefix.length > MAX_PREFIX_LENGTH) {
    throw new ConfigurationError(
      `The keyPrefix of a PostgreSQLStorage must have at most ${MAX_PREFIX_LENGTH} characters; it has ${keyPrefix.length}.`,
    );
  }
  assertBoolean('The option "durable" of a PostgreSQLStorage', durable);
  assertWholeNumber('The option "connections" of a PostgreSQLStorage', connections, 1);
  return { schema, durable, connections, ssl };
}
