import { describe, expect, it } from '@jest/globals';
import { createLimit, FixedWindowRateLimiter, MemoryStorage, type Hit } from 'nestjs-limits';
import { RateLimitGauges } from '../../../lib/observability/rate-limit-gauges.js';
import { resolveResilience } from '../../../lib/resilience/resilience.options.js';
import { resilient } from '../../../lib/resilience/resilient-storage.js';
import { until } from '../../support/servers/server-process.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

const limit = createLimit({
  id: 'logins',
  policy: 'login',
  strategy: 'fixed-window',
  amount: 10,
  period: 60_000,
});

function hitOf(identity: string): Hit {
  return { identity, limit, cost: 1 };
}

describe('Gauges', () => {
  it('count the slots that this process holds of one storage', async () => {
    const storage = new MemoryStorage();
    const gauges = new RateLimitGauges(storage);
    const limiter = new FixedWindowRateLimiter(storage);
    const slot = await limiter.acquire('5 concurrent', ['exports'], { cost: 2 });
    await new FixedWindowRateLimiter(new MemoryStorage()).acquire('5 concurrent', ['exports']);
    expect(gauges.slots).toEqual(new Map([['items', 2]]));
    await slot.release();
    expect(gauges.slots).toEqual(new Map());
  });

  it('count the cells of a memory storage by policy', () => {
    const storage = new MemoryStorage();
    storage.consume([hitOf('a')]);
    storage.consume([hitOf('b')]);
    expect(new RateLimitGauges(storage).memoryCells).toEqual(new Map([['login', 2]]));
  });

  it('show an open circuit, and the cells that count in this process meanwhile', async () => {
    const server = new MapCasServer();
    const store = new MapCasStorage(server);
    const resilience = resolveResilience({ failureThreshold: 1, probeInterval: 10 });
    if (resilience === false) throw new Error('no resilience');
    const storage = resilient(store, resilience, { degraded: () => undefined, recovered: () => undefined });
    const gauges = new RateLimitGauges(storage);
    await storage.consume([hitOf('a')]);
    expect([gauges.isCircuitOpen, gauges.memoryCells]).toEqual([false, new Map()]);
    store.check = async () => false;
    server.interfere = () => {
      throw new Error('no power');
    };
    await storage.consume([hitOf('a')]);
    await until(() => gauges.isCircuitOpen, 'the circuit to open');
    expect(gauges.memoryCells).toEqual(new Map([['login', 1]]));
    store.check = async () => true;
    await until(() => !gauges.isCircuitOpen, 'the circuit to close');
    await storage.close();
  });
});
