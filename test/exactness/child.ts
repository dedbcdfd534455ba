/** One of several instances of an application: a process that hits limits when it is told to. */
import { resilient } from '../../lib/resilience/resilient-storage.js';
import { resolveResilience, type ResilienceOptions } from '../../lib/resilience/resilience.options.js';
import { loadTemporal } from '../../lib/common/temporal.js';
import { createLimit, type CreateLimitOptions, type Limit } from '../../lib/core/limit.js';
import { storageFromString } from '../../lib/storages/storage-from-string.js';
import type { Storage, StorageOptions } from '../../lib/core/storage.js';

/** An order to hit a batch several times concurrently. */
export interface Order {
  readonly uri: string;
  readonly options: StorageOptions;
  readonly batch: readonly (CreateLimitOptions & { readonly identity: string })[];
  readonly times: number;
  /** The resilience in front of the storage, as in an application. Default: none. */
  readonly resilience?: ResilienceOptions | false | undefined;
}

/** The result of an order: the number of allowed hits, and the errors. */
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

/** Returns the storage of all orders of one kind, as in an application. It is connected. */
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

async function execute(order: Order): Promise<Answer> {
  const { batch, times } = order;
  const storage = await storageFor(order);
  await loadTemporal();
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
  execute(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ allowed: 0, errors: [String(error)] } satisfies Answer),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
