import { describe, expect, it } from '@jest/globals';
import { createLimit, MemoryStorage, StorageError } from 'nestjs-limits';
import { observed } from '../../../../lib/observability/observed.storage.js';
import { RateLimitEvents } from '../../../../lib/observability/rate-limit-events.js';
import { ConsoleRecorder } from '../../../../lib/nest/console/console-recorder.js';
import type { StoreHealth } from '../../../../lib/nest/storage/store-health.js';
import type { PolicyCounter } from '../../../../lib/nest/console/policy-counter.js';
import type { Limit } from '../../../../lib/core/limit.js';

function limit(name: string, options: Partial<Parameters<typeof createLimit>[0]> = {}): Limit {
  return createLimit({
    id: name,
    strategy: 'fixed-window',
    amount: 10,
    period: 60_000,
    where: 'The test',
    ...options,
  });
}

class Recording {
  readonly events = new RateLimitEvents();
  readonly recorder = new ConsoleRecorder(
    this.events,
    { store: 'TestStorage', onError: 'fallback' } as unknown as StoreHealth,
    observed(new MemoryStorage(), this.events),
  );

  /** Publishes a decision on limits; `false` is a refusal. */
  decide(outcomes: readonly (readonly [Limit, boolean])[], identity = 'ip:1', degraded?: 'fallback'): void {
    this.events.decided({
      allowed: outcomes.every(([{ mode }, allowed]) => allowed || mode === 'shadow'),
      now: 0,
      ...(degraded === undefined ? {} : { degraded }),
      outcomes: outcomes.map(([one, allowed]) => ({
        identity,
        limit: one,
        cost: 1,
        allowed,
        taken: allowed,
        window: undefined,
        remaining: 0,
        resetTime: 0,
        retryAfter: 0,
      })),
    });
  }

  get policies(): PolicyCounter[] {
    return [...this.recorder.policies];
  }
}

describe('The recorder of the console', () => {
  it('counts a decision once per policy, and refusals per limit', () => {
    const recording = new Recording();
    const [minute, hour] = [limit('a/minute', { policy: 'a' }), limit('a/hour', { policy: 'a' })];
    recording.decide([
      [minute, true],
      [hour, true],
    ]);
    recording.decide([
      [minute, false],
      [hour, false],
    ]);
    recording.decide([
      [minute, false],
      [hour, true],
    ]);
    const [policy] = recording.policies;
    expect(policy).toMatchObject({ name: 'a', where: 'The test', requests: 3, refused: 2, shadow: 0 });
    expect(policy?.limits.map(({ name, refusals }) => [name, refusals])).toEqual([
      ['a/minute', 2],
      ['a/hour', 1],
    ]);
    expect(policy?.identities.top(5)).toEqual([{ key: 'ip:1', count: 2, error: 0 }]);
    expect(recording.recorder.total).toMatchObject({ requests: 3, refused: 2 });
  });

  it('counts a refusal in shadow apart, and no identity for it', () => {
    const recording = new Recording();
    recording.decide([[limit('a', { mode: 'shadow' }), false]]);
    expect(recording.policies[0]).toMatchObject({ requests: 1, refused: 0, shadow: 1 });
    expect(recording.policies[0]?.identities.size).toBe(0);
    expect(recording.recorder.total).toMatchObject({ requests: 1, refused: 0, shadow: 1 });
  });

  it('counts a request that several limits in shadow would refuse once', () => {
    const recording = new Recording();
    const limits = ['minute', 'hour'].map((name) => limit(name, { policy: 'a', name: 'a', mode: 'shadow' }));
    recording.decide(limits.map((one) => [one, false] as const));
    expect(recording.policies).toHaveLength(1);
    expect(recording.policies[0]).toMatchObject({ requests: 1, refused: 0, shadow: 1 });
    expect(recording.recorder.total).toMatchObject({ requests: 1, refused: 0, shadow: 1 });
  });

  it('tells no answer for a store that is down if there is none', () => {
    const { events } = new Recording();
    const health = { store: 'TestStorage' } as unknown as StoreHealth;
    const { store } = new ConsoleRecorder(events, health, observed(new MemoryStorage(), events));
    expect(store).toMatchObject({ name: 'TestStorage', circuit: 'closed' });
    expect(store).not.toHaveProperty('onError');
  });

  it('counts limits of one place and name as one policy, and others apart', () => {
    const recording = new Recording();
    recording.decide([[limit('a'), true]]);
    recording.decide([[limit('a', { id: 'another cell', name: 'a' }), true]]);
    recording.decide([[limit('a', { where: 'Another place' }), true]]);
    recording.decide([[limit('a', { where: undefined }), true]]);
    expect(recording.policies.map(({ where, requests }) => [where, requests])).toEqual([
      ['The test', 2],
      ['Another place', 1],
      [undefined, 1],
    ]);
  });

  it('samples the counts of each second, those of a busy process in the second when it goes on', () => {
    const recording = new Recording();
    const start = recording.recorder.second;
    recording.decide([[limit('a'), true]]);
    expect(recording.recorder.sample(start + 1)).toEqual({
      total: { requests: 1, refused: 0, shadow: 0 },
      counts: { 0: { requests: 1, refused: 0, shadow: 0 } },
    });
    recording.decide([[limit('b'), false]]);
    expect(recording.recorder.sample(start + 4)).toEqual({
      total: { requests: 1, refused: 1, shadow: 0 },
      counts: { 1: { requests: 1, refused: 1, shadow: 0 } },
    });
    expect(recording.recorder.total.series(start + 4)).toEqual({
      requests: [1, 0, 0, 1],
      refused: [1],
      shadow: [],
    });
    expect(recording.policies.map(({ isActive }) => isActive)).toEqual([true, true]);
    recording.recorder.sample(start + 1000);
    expect(recording.policies.map(({ isActive }) => isActive)).toEqual([false, false]);
  });

  it('tells since when the store is lost, and its last errors with their remedies', () => {
    const recording = new Recording();
    const error = new StorageError('RedisStorage failed: NOAUTH. Give the password.');
    recording.events.publish({ type: 'error', error });
    expect(recording.recorder.store).toMatchObject({
      circuit: 'closed',
      errors: [{ message: error.message, count: 1 }],
    });
    recording.events.publish({ type: 'degraded', error });
    recording.decide([[limit('a'), true]], 'ip:1', 'fallback');
    expect(recording.recorder.store).toMatchObject({
      name: 'TestStorage',
      circuit: 'open',
      onError: 'fallback',
      degradedSince: expect.any(Number),
      allowed: 0,
      fallback: 1,
      errors: [{ message: error.message, count: 2 }],
    });
    recording.events.publish({ type: 'recovered' });
    expect(recording.recorder.store).toMatchObject({ circuit: 'closed', fallback: 1 });
    expect(recording.recorder.store).not.toHaveProperty('degradedSince');
  });

  it('tells the latencies of the calls', () => {
    const recording = new Recording();
    for (const duration of [1, 1, 1, 8])
      recording.events.publish({ type: 'call', operation: 'consume', duration, result: 'ok' });
    const { count, p50, p99 } = recording.recorder.store.calls;
    expect([count, p50 >= 1 && p50 < 1.1, p99 >= 8 && p99 < 8.8]).toEqual([4, true, true]);
  });

  it('stays bounded under a flood: of identities, policies, limits and errors', () => {
    const recording = new Recording();
    const flooded = limit('flooded');
    for (let client = 0; client < 20_000; client++) recording.decide([[flooded, false]], `ip:${client}`);
    for (let name = 0; name < 1500; name++) recording.decide([[limit(`policy ${name}`), true]]);
    for (let amount = 1; amount <= 80; amount++)
      recording.decide([[limit('varied', { amount, where: 'V' }), true]]);
    for (let kind = 0; kind < 50; kind++)
      recording.events.publish({ type: 'error', error: new Error(`Error ${kind}`) });
    const [first] = recording.policies;
    expect([first?.refused, first?.identities.size, first?.identities.total]).toEqual([20_000, 1000, 20_000]);
    expect(recording.policies.length).toBe(1001);
    expect(recording.policies.at(-1)).toMatchObject({ name: 'others', requests: 1500 - 999 + 80 });
    expect(recording.policies.at(-1)?.limits.length).toBe(51);
    expect(recording.recorder.store.errors.map(({ message }) => message).slice(0, 2)).toEqual([
      'Error 49',
      'Error 48',
    ]);
    expect(recording.recorder.store.errors.length).toBe(20);
  });

  it('counts nothing more once the application has ended', () => {
    const recording = new Recording();
    recording.recorder.onModuleDestroy();
    recording.decide([[limit('a'), true]]);
    expect(recording.recorder.total.requests).toBe(0);
  });
});
