import { describe, expect, it } from '@jest/globals';
import { createLimit, type BatchResult, type Hit, type Storage } from 'nestjs-limits';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { CircuitBreakerStorage, LateAnswerError } from '../../../lib/resilience/circuit-breaker.storage.js';
import { LeasingStorage } from '../../../lib/resilience/leasing.storage.js';
import { ScriptedStorage } from './scripted.storage.js';

const limit = createLimit({ id: 'hundred', strategy: 'fixed-window', amount: 100, period: 60_000 });
/** A hit with the extra properties that the guard adds. */
const asked = { identity: 'somebody', limit, cost: 1, policy: { key: () => 'secret' } };
const batch: readonly Hit[] = [asked];

const contract = [
  'allowed',
  'cost',
  'identity',
  'limit',
  'remaining',
  'resetTime',
  'retryAfter',
  'taken',
  'window',
];
const ofLease = [...contract, 'takenAt'].sort();

async function propertiesOf(result: BatchResult | Promise<BatchResult>): Promise<string[]> {
  return Object.keys((await result).outcomes[0] ?? {}).sort();
}

function guarding(inner: Storage): CircuitBreakerStorage {
  return new CircuitBreakerStorage(
    inner,
    { timeout: 5, failureThreshold: 100, failureWindow: 10_000, probeInterval: 1000 },
    { degraded: () => undefined, recovered: () => undefined },
  );
}

describe("An outcome has the properties of the contract, and none of the caller's", () => {
  it.each(['allow', 'fallback'] as const)('if the store fails with the option %s', async (onError) => {
    const inner = new ScriptedStorage();
    const storage = new FallbackStorage(inner, { onError, instances: 1 });
    inner.does = 'fail';
    expect(await propertiesOf(storage.consume(batch))).toEqual(contract);
    expect(await propertiesOf(storage.peek(batch))).toEqual(contract);
  });

  it('if the store responds', async () => {
    const storage = guarding(new ScriptedStorage());
    expect(await propertiesOf(storage.consume(batch))).toEqual(contract);
    expect(await propertiesOf(storage.peek(batch))).toEqual(contract);
  });

  it('if a refusal is cached', async () => {
    const storage = new DenialCacheStorage(new ScriptedStorage());
    await storage.consume(batch.map((hit) => ({ ...hit, cost: 100 })));
    expect(await propertiesOf(storage.consume(batch))).toEqual(contract);
    expect(await propertiesOf(storage.consume(batch))).toEqual(contract);
  });

  it('if permits are taken in advance', async () => {
    const storage = new LeasingStorage(new ScriptedStorage(), { size: 10, maxError: 1, instances: 1 });
    expect(await propertiesOf(storage.consume(batch))).toEqual(ofLease);
    expect(await propertiesOf(storage.consume(batch))).toEqual(ofLease);
    expect(await propertiesOf(storage.peek(batch))).toEqual(contract);
  });

  it('if permits are refused', async () => {
    const none = batch.map((hit) => ({
      ...hit,
      limit: createLimit({ ...limit, id: 'one', amount: 40, burst: undefined }),
    }));
    const storage = new LeasingStorage(new ScriptedStorage(), { size: 10, maxError: 1, instances: 1 });
    await storage.consume(none.map((hit) => ({ ...hit, cost: 40 })));
    expect(await propertiesOf(storage.consume(none))).toEqual(contract);
  });

  it('if permits are late', async () => {
    const inner = new ScriptedStorage();
    const storage = new LeasingStorage(guarding(inner), { size: 10, maxError: 1, instances: 1 });
    inner.does = 'hang';
    const late: unknown = await Promise.resolve(storage.consume(batch)).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(LateAnswerError);
    inner.release();
    expect(await propertiesOf((late as LateAnswerError).answer as Promise<BatchResult>)).toEqual(contract);
  });
});
