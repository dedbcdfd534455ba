import { afterEach, describe, expect, it } from '@jest/globals';
import { StorageError, type RateLimitEvent } from 'nestjs-limits';
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { promisify } from 'node:util';
import { config } from 'rxjs';
import { RateLimitEvents } from '../../../lib/observability/rate-limit-events.js';

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
