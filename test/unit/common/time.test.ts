import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { withTimeout } from '../../../lib/common/time.js';

describe('a call within a timeout', () => {
  it('returns the result, or throws the error', async () => {
    expect(await withTimeout(1000, async () => 'answer')).toBe('answer');
    await expect(withTimeout(1000, () => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
  });

  it('fails at the timeout, and its signal is aborted', async () => {
    let signal: AbortSignal | undefined;
    const call = withTimeout(50, (late) => {
      signal = late;
      return new Promise<never>(() => {});
    });
    await expect(call).rejects.toThrow('no answer within 50 ms');
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toHaveProperty('message', 'no answer within 50 ms');
  });

  it('can include a wait before the call', async () => {
    const since = performance.now() - 3_599_990;
    await expect(withTimeout(3_600_000, () => new Promise<never>(() => {}), since)).rejects.toThrow(
      'no answer within 3600000 ms',
    );
  });

  it('can reject later without an unhandled rejection', async () => {
    let rejectLate: (error: Error) => void = () => undefined;
    const call = withTimeout(
      10,
      () =>
        new Promise<never>((_resolve, reject) => {
          rejectLate = reject;
        }),
    );
    await expect(call).rejects.toThrow('no answer within 10 ms');
    rejectLate(new Error('too late'));
    await setImmediate(); // Jest fails a test with an unhandled rejection
  });

  it('is not late because this process was busy', async () => {
    const call = withTimeout(50, async () => {
      await sleep(20);
      return 'answer';
    });
    const end = performance.now() + 150;
    while (performance.now() < end);
    expect(await call).toBe('answer');
  });
});
