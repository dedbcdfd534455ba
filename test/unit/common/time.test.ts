import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { withTimeout } from '../../../lib/common/time.js';

describe('a call within a timeout', () => {
  it('answers what it answers, or throws what it throws', async () => {
    expect(await withTimeout(1000, async () => 'answer')).toBe('answer');
    await expect(withTimeout(1000, () => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
  });

  it('fails when the time is over, and is told so', async () => {
    const start = performance.now();
    let signal: AbortSignal | undefined;
    const call = withTimeout(50, (late) => {
      signal = late;
      return new Promise<never>(() => {});
    });
    await expect(call).rejects.toThrow('no answer within 50 ms');
    expect(performance.now() - start).toBeGreaterThanOrEqual(49);
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toHaveProperty('message', 'no answer within 50 ms');
  });

  it('may have begun to wait before it is made', async () => {
    const start = performance.now();
    await expect(withTimeout(10_000, () => new Promise<never>(() => {}), start - 9_950)).rejects.toThrow(
      'no answer within 10000 ms',
    );
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('may fail later, unheard', async () => {
    const call = withTimeout(10, async () => {
      await sleep(200);
      throw new Error('too late');
    });
    await expect(call).rejects.toThrow('no answer within 10 ms');
    await sleep(250);
  });

  it('is not called late for the time in which this process was busy', async () => {
    const call = withTimeout(50, async () => {
      await sleep(20);
      await sleep(20);
      return 'answer';
    });
    const end = performance.now() + 150;
    while (performance.now() < end);
    expect(await call).toBe('answer');
  });
});
