/** A process that hits limits when it is told to, as one of several instances of an application. */
import { createLimit, type CreateLimitOptions, type Limit } from '../../lib/storages/limit.js';
import { storageFromString } from '../../lib/storages/storage-from-string.js';
import type { Storage, StorageOptions } from '../../lib/storages/storage.js';

/** What a process is told: to hit a batch so many times at once. */
export interface Order {
  readonly uri: string;
  readonly options: StorageOptions;
  readonly batch: readonly (CreateLimitOptions & { readonly bucket: string })[];
  readonly times: number;
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

/** One storage for all orders of one URI, as an application has. It has connected before it is hit. */
async function storageAt(uri: string, options: StorageOptions): Promise<Storage> {
  const opened = storages.get(uri);
  if (opened !== undefined) return opened;
  const storage = await storageFromString(uri, { ...options });
  storages.set(uri, storage);
  await storage.check();
  return storage;
}

function limitOf(options: CreateLimitOptions): Limit {
  const limit = limits.get(options.id) ?? createLimit(options);
  limits.set(options.id, limit);
  return limit;
}

async function obey({ uri, options, batch, times }: Order): Promise<Answer> {
  const storage = await storageAt(uri, options);
  const hits = batch.map(({ bucket, ...options }) => ({ bucket, limit: limitOf(options), cost: 1 }));
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
