/** A process that hits limits when it is told to, as one of several instances of an application. */
import { resilient } from '../../lib/resilience/resilient-storage.js';
import { resolveResilience, type ResilienceOptions } from '../../lib/resilience/resilience.options.js';
import { createLimit, type CreateLimitOptions, type Limit } from '../../lib/core/limit.js';
import { storageFromString } from '../../lib/storages/storage-from-string.js';
import type { Storage, StorageOptions } from '../../lib/core/storage.js';

/** What a process is told: to hit a batch so many times at once. */
export interface Order {
  readonly uri: string;
  readonly options: StorageOptions;
  readonly batch: readonly (CreateLimitOptions & { readonly identity: string })[];
  readonly times: number;
  /** What stands before the storage, as in an application. Default: nothing. */
  readonly resilience?: ResilienceOptions | false | undefined;
}

/** What it answers: how many were allowed, and what went wrong. */
export interface Answer {
  readonly allowed: number;
  readonly errors: readonly string[];
}

const [, , skew = '0'] = process.argv;
if (skew !== '0') {
  const now = Date.now;
  Date.now = () => now() + Number(skew);
}

const storages = new Map<string, Storage>();
const limits = new Map<string, Limit>();

/** One storage for all orders of one kind, as an application has. It has connected before it is hit. */
async function storageFor({ uri, options, resilience = false }: Order): Promise<Storage> {
  const kind = JSON.stringify([uri, resilience]);
  const opened = storages.get(kind);
  if (opened !== undefined) return opened;
  const resolved = resolveResilience(resilience);
  const remote = await storageFromString(uri, { ...options });
  const storage = resolved === false ? remote : resilient(remote, resolved, silent);
  storages.set(kind, storage);
  await storage.check();
  return storage;
}

const silent = { degraded: () => undefined, recovered: () => undefined };

function limitOf(options: CreateLimitOptions): Limit {
  const limit = limits.get(options.id) ?? createLimit(options);
  limits.set(options.id, limit);
  return limit;
}

async function obey(order: Order): Promise<Answer> {
  const { batch, times } = order;
  const storage = await storageFor(order);
  const hits = batch.map(({ identity, ...options }) => ({ identity, limit: limitOf(options), cost: 1 }));
  const results = await Promise.allSettled(
    Array.from({ length: times }, async () => (await storage.consume(hits)).allowed),
  );
  return {
    allowed: results.filter((each) => each.status === 'fulfilled' && each.value).length,
    errors: results.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : [])),
  };
}

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ allowed: 0, errors: [String(error)] } satisfies Answer),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
