import { randomUUID } from 'node:crypto';
import { messageOf } from '../../common/describe.js';
import { StorageError } from '../../common/errors.js';
import { withTimeout } from '../../common/time.js';
import { receiptsOf, withdrawn, type Hit } from '../../core/contract.js';
import { createLimit } from '../../core/limit.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import type { Policy } from '../../policies/policy.js';

/** Timeout of the check when the application starts, in ms. */
const STARTUP_CHECK_TIMEOUT_MS = 2000;

/**
 * Period of the limits that the check counts, in ms: short, so that the store soon drops them if
 * they cannot be removed.
 */
const PERIOD_MS = 1000;

/** The options of a policy that determine the required operations. */
type CheckedPolicy = Pick<Policy<never, unknown>, 'strategy' | 'limits' | 'plans'>;

/**
 * Checks that the store can perform the operations of the policies: count all their strategies for
 * two identities in one batch, peek, settle, block, and remove. Each process uses its own
 * identities.
 *
 * @param strategy the strategy of the module, for limits by hand
 * @throws StorageError with the message of the store, and the remedy if it is known
 */
export async function assertReady(
  store: Storage,
  policies: readonly CheckedPolicy[],
  strategy: StrategyName,
): Promise<void> {
  try {
    await withTimeout(STARTUP_CHECK_TIMEOUT_MS, () => rehearse(store, policies, strategy));
  } catch (cause) {
    const what = (await isWell(store))
      ? 'answers, but cannot count what the policies limit'
      : 'does not answer';
    throw new StorageError(`${store} ${what} (${messageOf(cause)}).`, { cause });
  }
  if (!(await isWell(store))) throw new StorageError(`${store} responds, but cannot count.`);
}

function isWell(store: Storage): Promise<boolean> {
  return withTimeout(STARTUP_CHECK_TIMEOUT_MS, async () => store.check()).catch(() => false);
}

async function rehearse(
  store: Storage,
  policies: readonly CheckedPolicy[],
  strategy: StrategyName,
): Promise<void> {
  const limits = policies.flatMap((policy) => [policy.limits, ...(policy.plans?.values() ?? [])].flat());
  const hasBlocks = limits.some(({ block }) => block.length > 0);
  const supported = store.capabilities.strategies;
  const used = [strategy, ...[...policies, ...limits].map((one) => one.strategy)].filter((name) =>
    supported.includes(name),
  );
  const batch = batchOf(new Set(used), hasBlocks);
  await store.settle(withdrawn(receiptsOf(await store.consume(batch))));
  await store.peek(batch);
  const blocks = batch.filter(({ limit }) => limit.block.length > 0);
  if (hasBlocks) await store.block(blocks.map((hit) => ({ ...hit, duration: PERIOD_MS })));
  await store.remove(batch);
}

function batchOf(strategies: ReadonlySet<StrategyName>, hasBlocks: boolean): Hit[] {
  const block = hasBlocks ? [PERIOD_MS] : [];
  const limits = [...strategies].map((strategy) =>
    createLimit({
      id: `start ${strategy}`,
      strategy,
      amount: 1,
      period: PERIOD_MS,
      calendar: strategy === 'calendar-window' ? { unit: 'second' } : undefined,
      block: strategy === 'concurrency' ? [] : block,
    }),
  );
  const process = randomUUID();
  return ['a', 'b'].flatMap((part) =>
    limits.map((limit) => ({ identity: `start/${process}/${part}`, limit, cost: 1 })),
  );
}
