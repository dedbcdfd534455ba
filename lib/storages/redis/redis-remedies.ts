import { findRemedy, type Remedies } from '../remedy.js';

/** The kind of service that a client is connected to. */
export type RedisTopology = 'server' | 'cluster' | 'sentinel';

const CLUSTER_MODE = 'The server is in cluster mode: use redis+cluster://host:port (RedisClusterStorage).';

/** Remedies for permanent errors. Errors of an outage or a failover have none. */
const REMEDIES: Readonly<Record<RedisTopology, Remedies>> = {
  server: [
    [/^(CROSSSLOT|MOVED|ASK|CLUSTERDOWN)\b/, CLUSTER_MODE],
    [
      /^READONLY\b/,
      'The server is a read-only replica: name its primary, or use redis+sentinel://host:port/service, which follows it.',
    ],
    [
      /\bunknown command\b.*\beval/i,
      'The server runs no scripts. If it is a sentinel, use redis+sentinel://host:port/service (RedisSentinelStorage).',
    ],
  ],
  cluster: [
    [/cluster support disabled/i, 'The server is not in cluster mode: use redis://host:port (RedisStorage).'],
  ],
  sentinel: [
    [
      /\bunknown command\b.*\bsentinel/i,
      'The servers are not sentinels: name the sentinels, or use redis://host:port (RedisStorage).',
    ],
    [/^(CROSSSLOT|MOVED|ASK|CLUSTERDOWN)\b/, CLUSTER_MODE],
  ],
};

const COMMON: Remedies = [
  [
    /\bNOPERM\b|can't (run this command|access at least one of the keys)/,
    "Grant the user the commands and keys in docs/storages/redis.md, section 'Permissions'.",
  ],
  [/\b(WRONGPASS|NOAUTH)\b/, 'Check user and password.'],
  [
    /\bOOM\b/,
    "The server has no memory left: raise maxmemory. See docs/storages/redis.md, section 'How much memory'.",
  ],
  [/\bMISCONF\b/, 'The server rejects writes because it cannot persist: check its disk and its log.'],
  [/\bNOREPLICAS\b/, 'The server rejects writes because it has fewer replicas than min-replicas-to-write.'],
];

/**
 * Returns what to change about the server, its user or the URI; `undefined` for an error that may
 * be temporary.
 */
export function redisRemedy(topology: RedisTopology, error: unknown): string | undefined {
  return findRemedy(REMEDIES[topology], error) ?? findRemedy(COMMON, error);
}
