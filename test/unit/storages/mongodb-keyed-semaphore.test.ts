import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { KeyedSemaphore } from '../../../lib/storages/mongodb/keyed-semaphore.js';

describe('a turnstile', () => {
  it('lets as many through at once as it may, of each key, and the others in order', async () => {
    const { turnstile, log, pass } = start(2);
    const passed = ['a1', 'a2', 'a3', 'a4', 'b1'].map((name) => pass(name));
    await setImmediate();
    expect(log).toEqual(['a1 begins', 'a2 begins', 'b1 begins']);
    expect(await Promise.all(passed)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1']);
    expect(log.filter((line) => line.endsWith('begins'))).toEqual([
      'a1 begins',
      'a2 begins',
      'b1 begins',
      'a3 begins',
      'a4 begins',
    ]);
    expect(await turnstile.pass('a', new AbortController().signal, async () => 'again')).toBe('again');
  });

  it('lets the next one through when a call fails', async () => {
    const { turnstile, pass } = start(1);
    const failing = turnstile.pass('a', new AbortController().signal, () =>
      Promise.reject(new Error('down')),
    );
    const next = pass('a1');
    await expect(failing).rejects.toThrow('down');
    expect(await next).toBe('a1');
  });

  it('waits no longer for a call that is late, nor begins one', async () => {
    const { turnstile, log, pass } = start(1);
    const late = new AbortController();
    const hanging = turnstile.pass('a', late.signal, () => new Promise<never>(() => {}));
    const waiting = pass('a1', late.signal);
    const next = pass('a2');
    late.abort(new Error('too late'));
    await expect(hanging).rejects.toThrow('too late');
    await expect(waiting).rejects.toThrow('too late');
    expect(await next).toBe('a2');
    expect(log).toEqual(['a2 begins', 'a2 ends']);
  });

  function start(atOnce: number): {
    turnstile: KeyedSemaphore;
    log: string[];
    pass: (name: string, late?: AbortSignal) => Promise<string>;
  } {
    const turnstile = new KeyedSemaphore(atOnce);
    const log: string[] = [];
    const pass = (name: string, late = new AbortController().signal): Promise<string> =>
      turnstile.pass(name.slice(0, 1), late, async () => {
        log.push(`${name} begins`);
        await setImmediate();
        log.push(`${name} ends`);
        return name;
      });
    return { turnstile, log, pass };
  }
});
