import type { ConnectionOptions } from 'node:tls';
import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import {
  assertBoolean,
  assertKnownOptions,
  assertWholeNumber,
  withoutUndefined,
} from '../../common/options.js';
import type { ServerStorageOptions } from '../server.storage.js';
import type { PostgreSQLClient } from './connections.js';

/** Options of {@link PostgreSQLStorage}. */
export interface PostgreSQLStorageOptions extends ServerStorageOptions {
  /**
   * Schema of the tables and functions, which the storage creates.
   *
   * @default 'nestjs_limits'
   */
  schema?: string | undefined;
  /**
   * True to log the tables, so that counts survive a crash or failover, except for the last 0.6
   * s.
   *
   * Costs about 140 bytes of WAL per decision. Applies when the tables are created.
   *
   * @default false
   */
  durable?: boolean | undefined;
  /**
   * Maximum connections of the storage's own pool, or calls in flight on your client.
   *
   * @default 4
   */
  connections?: number | undefined;
  /**
   * `true`, or options of `node:tls`, merged into those of the URI's `sslmode`. Not for your own client.
   *
   * @default by the URI
   */
  ssl?: boolean | ConnectionOptions | undefined;
}

/** Options with their defaults. */
export type ResolvedOptions = Required<Pick<PostgreSQLStorageOptions, 'ssl'>> & {
  readonly schema: string;
  readonly durable: boolean;
  readonly connections: number;
};

const OPTIONS = ['clock', 'connections', 'durable', 'keyPrefix', 'schema', 'timeout'];
const URI_OPTIONS = ['ssl'];
const MAX_PREFIX_LENGTH = 200;
const MAX_SCHEMA_BYTES = 63;
/** No dollar sign, which could end the body of a function. */
const SCHEMA = /^(?!pg_)[^\0$]+$/;

/** @throws ConfigurationError if an option is invalid */
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
