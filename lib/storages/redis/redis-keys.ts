import type { Redis } from 'ioredis';

/** Keys that one step scans. */
const KEYS_PER_SCAN = 1000;

/**
 * Calls a command for each key with a prefix on every server. Returns the sum of the answers.
 *
 * @param bound applies the timeout to each command
 */
export async function forEachKey(
  servers: readonly Redis[],
  prefix: string,
  bound: <T>(reply: Promise<T>) => Promise<T>,
  call: (key: string, server: Redis) => Promise<number>,
): Promise<number> {
  const pattern = `${prefix.replace(/[\\*?[\]^-]/g, '\\$&')}*`;
  const sums = servers.map(async (server) => {
    let sum = 0;
    let cursor = '0';
    do {
      const [next, keys] = await bound(server.scan(cursor, 'MATCH', pattern, 'COUNT', KEYS_PER_SCAN));
      // One command per key: a cluster rejects keys of several slots in one command.
      sum += sumOf(await Promise.all(keys.map((key) => bound(call(key, server)))));
      cursor = next;
    } while (cursor !== '0');
    return sum;
  });
  return sumOf(await Promise.all(sums));
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}
