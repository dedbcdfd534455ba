import { afterEach, describe, expect, it } from '@jest/globals';
import {
  createLimit,
  FixedWindowRateLimiter,
  MemoryStorage,
  StorageError,
  type Hit,
  type RateLimitEvent,
} from 'nestjs-limits';
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { promisify } from 'node:util';
import { config } from 'rxjs';
import { observed } from '../../../lib/observability/observed.storage.js';
import { RateLimitEvents } from '../../../lib/observability/rate-limit-events.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

const limit = createLimit({ id: 'logins', strategy: 'fixed-window', amount: 10, period: 60_000 });
const hit: Hit = { identity: 'ip:10.0.0.1', limit, cost: 1 };
const error = new StorageError('The store failed: no power');

afterEach(() => {
  config.onUnhandledError = null;
});

describe('Events', () => {
  it('report a store that fails, is lost and recovers, in that order', () => {
    const events = new RateLimitEvents();
    const told: RateLimitEvent[] = [];
    events.events$.subscribe((event) => told.push(event));
    const happened: RateLimitEvent[] = [
      { type: 'error', error },
      { type: 'degraded', error },
      { type: 'recovered' },
    ];
    for (const event of happened) events.publish(event);
    expect(told).toEqual(happened);
  });

  it.each(['error', 'degraded'] as const)('of type %s have their own channel', (type) => {
    const events = new RateLimitEvents();
    const heard: unknown[] = [];
    const listen = (event: unknown): void => void heard.push(event);
    subscribe(`nestjs-limits:${type}`, listen);
    try {
      events.publish({ type: 'recovered' });
      events.publish({ type, error });
    } finally {
      unsubscribe(`nestjs-limits:${type}`, listen);
    }
    events.publish({ type, error });
    expect(heard).toEqual([{ type, error }]);
  });

  it('are created only for a type with a listener', () => {
    const events = new RateLimitEvents();
    const types: string[] = [];
    const subscription = events.on('settled').subscribe(({ type }) => types.push(type));
    events.decided(new MemoryStorage().consume([hit]));
    expect(types).toEqual([]);
    expect(events.hasListeners('decision')).toBe(false);
    expect(events.hasListeners('settled')).toBe(true);
    subscription.unsubscribe();
    expect(events.hasListeners('settled')).toBe(false);
  });

  it('report the units of a hit before and after its settlement, and no settlement to the same units', async () => {
    const events = new RateLimitEvents();
    const changes: [limit: string, before: number, after: number][] = [];
    events.on('settled').subscribe(({ settled }) => {
      for (const { outcome, before } of settled) changes.push([outcome.limit.name, before, outcome.cost]);
    });
    const storage = observed(new MemoryStorage(), events);
    const limiter = new FixedWindowRateLimiter(storage);
    await storage.settle([{ ...hit, window: 'current', actual: hit.cost }]);
    const decision = await limiter.consume('10/minute', ['a'], { cost: 5 });
    await limiter.settle(decision, 2);
    await limiter.settle(decision, 9);
    const slot = await limiter.acquire('3 concurrent', ['a'], { cost: 2 });
    await slot.release();
    expect(changes).toEqual([
      ['10 per 1 minute', 5, 2],
      ['10 per 1 minute', 2, 9],
      ['3 concurrent', 2, 0],
    ]);
  });

  it('report the calls of a store, and none of a storage in memory', async () => {
    const server = new MapCasServer();
    const events = new RateLimitEvents();
    const calls: string[] = [];
    events.on('call').subscribe(({ operation, result, duration }) => {
      expect(duration).toBeGreaterThanOrEqual(0);
      calls.push(`${operation} ${result}`);
    });
    const storage = observed(new MapCasStorage(server), events);
    await storage.consume([hit]);
    await storage.peek([hit]);
    await storage.settle([{ ...hit, window: 'current', actual: 0 }]);
    await storage.remove([hit]);
    server.interfere = () => {
      throw new Error('no power');
    };
    await expect(storage.consume([hit])).rejects.toThrow('no power');
    await observed(new MemoryStorage(), events).consume([hit]);
    expect(calls).toEqual(['consume ok', 'peek ok', 'settle ok', 'remove ok', 'consume error']);
  });

  it('reach all subscribers even if one throws, whose error is reported later', async () => {
    const events = new RateLimitEvents();
    const bug = new Error('a bug of the subscriber');
    const reported = new Promise((resolve) => {
      config.onUnhandledError = resolve;
    });
    const told: string[] = [];
    events.events$.subscribe(() => {
      throw bug;
    });
    events.events$.subscribe(({ type }) => told.push(type));
    events.publish({ type: 'recovered' });
    expect(told).toEqual(['recovered']);
    expect(await reported).toBe(bug);
  });

  it('do not throw when a listener of a channel throws: the process reports it later', async () => {
    const script = `
      import { subscribe } from 'node:diagnostics_channel';
      import { RateLimitEvents } from './lib/observability/rate-limit-events.ts';
      process.on('uncaughtException', ({ message }) => console.log('uncaught:', message));
      subscribe('nestjs-limits:recovered', () => { throw new Error('a bug of the listener'); });
      new RateLimitEvents().publish({ type: 'recovered' });
      console.log('told');
    `;
    const args = ['--import', './test/support/typescript.mjs', '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: process.cwd() });
    expect(stdout).toBe('told\nuncaught: a bug of the listener\n');
  });
});
