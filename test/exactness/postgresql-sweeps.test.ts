import { afterEach, expect, it } from '@jest/globals';
import { Client } from 'pg';
import type { BatchResult } from 'nestjs-limits';
import { limitOf, OpenedStorages } from '../support/postgresql.js';
import { describeOn } from '../support/servers.js';

/** Rows are deleted the moment they expire, during concurrent hits: exactly the limit passes. */

const STORAGES = 4;
const IN_FLIGHT = 50;
const SWEEPERS = 4;
const DURATION_MS = 3000;
const PERIOD_MS = 20;
const AMOUNT = 5;
const PREFIX = 'sweeps';

/** Deletes like the storage, but without the slack by which it keeps rows longer. */
const SWEEP = `
WITH gone AS (DELETE FROM nestjs_limits.rate_limits WHERE key = ANY(ARRAY(
  SELECT key FROM nestjs_limits.rate_limits r WHERE starts_with(key, '${PREFIX}:') AND NOT EXISTS (
    SELECT FROM jsonb_each(r.cells) cell WHERE (cell.value -> 0)::bigint > extract(epoch FROM clock_timestamp()) * 1000)
  FOR UPDATE SKIP LOCKED)) RETURNING key),
logs AS (DELETE FROM nestjs_limits.rate_limit_log h USING gone WHERE h.key = gone.key) SELECT FROM gone`;

describeOn('POSTGRESQL', 'hits on windows of 20 ms while the rows are swept', (uri) => {
  const storages = new OpenedStorages();
  const [fixed, moving] = [
    limitOf('fixed-window', { amount: AMOUNT, period: PERIOD_MS }),
    limitOf('moving-window', { amount: AMOUNT, period: PERIOD_MS }),
  ];

  afterEach(() => storages.close());

  /** Hits in one order or the other until an end. Returns the allowed hits. */
  async function hitUntil(end: number, seed: number): Promise<BatchResult[]> {
    const storage = storages.open(uri, { keyPrefix: PREFIX });
    const allowed: BatchResult[] = [];
    const hitter = async (index: number): Promise<void> => {
      const identities = (index + seed) % 2 === 0 ? ['a', 'b'] : ['b', 'a'];
      while (performance.now() < end) {
        const result = await storage.consume([
          { identity: identities[0] ?? '', limit: fixed, cost: 1 },
          { identity: identities[1] ?? '', limit: moving, cost: 1 },
        ]);
        if (result.allowed) allowed.push(result);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, index) => hitter(index)));
    return allowed;
  }

  async function sweepUntil(end: number): Promise<number> {
    const client = new Client(uri);
    await client.connect();
    let swept = 0;
    while (performance.now() < end) swept += (await client.query(SWEEP)).rowCount ?? 0;
    await client.end();
    return swept;
  }

  it('admits no more than the limits in any window, and never deadlocks', async () => {
    await storages.open(uri, { keyPrefix: PREFIX }).reset();
    const end = performance.now() + DURATION_MS;
    const sweeps = Promise.all(Array.from({ length: SWEEPERS }, () => sweepUntil(end)));
    const hits = await Promise.all(Array.from({ length: STORAGES }, (_, seed) => hitUntil(end, seed)));
    const swept = (await sweeps).reduce((sum, count) => sum + count, 0);
    const allowed = hits.flat();

    const windows = new Map<string, number>();
    const times = new Map<string, number[]>();
    for (const { now, outcomes } of allowed) {
      const window = `${outcomes[0]?.identity} ${outcomes[0]?.window}`;
      windows.set(window, (windows.get(window) ?? 0) + 1);
      const identity = outcomes[1]?.identity ?? '';
      times.set(identity, [...(times.get(identity) ?? []), now]);
    }
    expect(Math.max(...windows.values())).toBe(AMOUNT);
    for (const each of times.values()) {
      each.sort((one, other) => one - other);
      const spans = each.slice(AMOUNT).map((time, index) => time - (each[index] ?? 0));
      expect(Math.min(...spans)).toBeGreaterThanOrEqual(PERIOD_MS);
    }
    expect(swept).toBeGreaterThan(0);
    expect(allowed.length).toBeGreaterThan(AMOUNT);
  });
});
