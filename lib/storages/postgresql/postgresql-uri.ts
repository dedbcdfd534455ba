import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { messageOf, quote } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { oneOf } from '../../common/options.js';
import { assertScheme, malformedUri, parseStorageUri, SCHEMES } from '../storage-uri.js';

const FORM = 'postgres://user:password@host:5432/database?sslmode=verify-full';
const DEFAULT_PORT = 5432;

/** The driver's options for one connection. */
export interface ConnectionSettings {
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
  readonly options?: string;
  readonly application_name: string;
  readonly ssl?: boolean | ConnectionOptions;
}

/** Supported parameters. */
const READ = ['application_name', 'host', 'options', 'port', 'sslcert', 'sslkey', 'sslmode', 'sslrootcert'];
/** Ignored parameters: those of other clients that may share the URI. */
const IGNORED = [
  'channel_binding',
  'connect_timeout',
  'connection_limit',
  'pgbouncer',
  'pool_timeout',
  'schema',
  'target_session_attrs',
];
const checkSslMode = oneOf(['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full']);

/**
 * Parses a URI. The driver gets settings instead of the URI, since it ignores the option `ssl` if
 * the URI has a `sslmode`.
 *
 * @throws ConfigurationError if the URI is malformed; the message shows only names of parameters
 */
export function parsePostgreSQLUri(uri: string): ConnectionSettings {
  const { scheme, username, password, hosts, path, query } = parseStorageUri(uri, FORM, DEFAULT_PORT);
  assertScheme('A PostgreSQLStorage', scheme, SCHEMES.postgresql, FORM);
  const unknown = [...query.keys()].find((name) => !READ.includes(name) && !IGNORED.includes(name));
  if (unknown !== undefined) {
    throw new ConfigurationError(
      `The URI of a PostgreSQLStorage has the unknown parameter ${quote(unknown)}. Known: ${READ.join(', ')}.`,
    );
  }
  if (hosts.length > 1) throw malformedUri('names several hosts', FORM);
  const ssl = sslOf(query);
  const options = query.get('options');
  const [server] = hosts;
  const host = query.get('host') ?? server?.host;
  const port = Number(query.get('port') ?? server?.port ?? DEFAULT_PORT);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw malformedUri('has a port that cannot be read', FORM);
  return {
    ...(host === undefined ? {} : { host }),
    port,
    ...(username === undefined ? {} : { user: username }),
    ...(password === undefined ? {} : { password }),
    ...(path.length > 1 ? { database: path.slice(1) } : {}),
    ...(options === null ? {} : { options }),
    ...(ssl === undefined ? {} : { ssl }),
    application_name: query.get('application_name') ?? 'nestjs-limits',
  };
}

/** Merges the option `ssl` into the TLS options of the URI. */
export function withSsl(
  settings: ConnectionSettings,
  ssl: boolean | ConnectionOptions | undefined,
): ConnectionSettings {
  if (ssl === undefined) return settings;
  if (typeof ssl === 'boolean')
    return { ...settings, ssl: ssl && typeof settings.ssl === 'object' ? settings.ssl : ssl };
  return { ...settings, ssl: { ...(typeof settings.ssl === 'object' ? settings.ssl : {}), ...ssl } };
}

/**
 * Returns the TLS options for a `sslmode`. As in the driver, `require` verifies the certificate.
 */
function sslOf(query: URLSearchParams): boolean | ConnectionOptions | undefined {
  const mode = query.get('sslmode');
  const files = Object.fromEntries(
    Object.entries({ ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' }).flatMap(([option, parameter]) => {
      const path = query.get(parameter);
      return path === null || path === 'system' ? [] : [[option, readFile(parameter, path)]];
    }),
  );
  if (mode === null) return Object.keys(files).length > 0 ? files : undefined;
  checkSslMode('The sslmode in the URI of a PostgreSQLStorage', mode);
  switch (mode) {
    case 'disable':
      return false;
    case 'no-verify':
      return { ...files, rejectUnauthorized: false };
    case 'verify-ca':
      return { ...files, checkServerIdentity: () => undefined };
    default: // prefer, require and verify-full
      return files;
  }
}

function readFile(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(
      `The file that "${parameter}" in the URI of a PostgreSQLStorage names cannot be read: ${messageOf(error)}`,
    );
  }
}
