import { ConfigurationError } from '../common/errors.js';

/** The parts of a storage URI: `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`. */
export interface StorageUri {
  /** Lower case, without the `async+` that the Python library knows. */
  readonly scheme: string;
  /** Percent-decoded, like the password. */
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** Percent-decoded, with its leading slash; empty when there is none. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const PARTS = /^(?:async\+)?([a-z][a-z0-9+.-]*):\/\/(?:([^@/]*)@)?([^/?]*)(\/[^?]*)?(?:\?(.*))?$/is;

/**
 * Takes a storage URI apart.
 *
 * @param form what the URI should look like, for the error
 * @param defaultPort for hosts that name none
 * @throws ConfigurationError when it is malformed; shows nothing of it, for it may hold credentials
 */
export function parseStorageUri(uri: string, form: string, defaultPort: number): StorageUri {
  const [matched, scheme = '', credentials, hosts = '', path = '', query = ''] = PARTS.exec(uri) ?? [];
  const malformed = (what: string): ConfigurationError =>
    new ConfigurationError(
      `The storage URI ${what}. It should look like ${form}, with reserved characters percent-encoded.`,
    );
  if (matched === undefined) throw malformed('cannot be read');
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw malformed('has a "%" that encodes nothing');
    }
  };
  const [username, ...password] = credentials?.split(':') ?? [];
  return {
    scheme: scheme.toLowerCase(),
    username: username ? decode(username) : undefined,
    password: password.length > 0 ? decode(password.join(':')) : undefined,
    hosts:
      hosts === ''
        ? []
        : hosts.split(',').map((one) => {
            const [found, bracketed, plain, port] =
              /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(one.trim()) ?? [];
            if (found === undefined) throw malformed('has a host that cannot be read');
            return {
              host: bracketed ?? decode(plain ?? ''),
              port: port === undefined ? defaultPort : Number(port),
            };
          }),
    path: decode(path),
    query: new URLSearchParams(query),
  };
}
