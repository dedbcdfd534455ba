import { describeValue } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';

/**
 * Throws unless a connection is a URI or a client of the driver, which is recognized by its methods: it may be of another copy of
 * the driver.
 *
 * @param storage name of the storage with its article
 * @param takes what it takes instead
 * @throws ConfigurationError naming what was given
 */
export function assertConnection(
  storage: string,
  connection: unknown,
  methods: readonly string[],
  takes: string,
): void {
  if (typeof connection === 'string') return;
  const client = (typeof connection === 'object' ? connection : null) as Record<string, unknown> | null;
  if (client !== null && methods.length > 0 && methods.every((name) => typeof client[name] === 'function'))
    return;
  throw new ConfigurationError(`${storage} takes ${takes}; got ${describeValue(connection)}.`);
}
