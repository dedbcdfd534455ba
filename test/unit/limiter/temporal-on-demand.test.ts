import { describe, expect, it } from '@jest/globals';
import { CalendarWindowRateLimiter, createLimit, FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
import { isTemporalLoaded } from '../../../lib/common/temporal.js';

const hasTemporal = 'Temporal' in globalThis;
const reason = hasTemporal ? ' (skipped: this engine has it)' : '';

(hasTemporal ? describe.skip : describe)(`Temporal, where the engine has none${reason},`, () => {
  it('is loaded with the first hit on a calendar window, and hits return values afterwards', async () => {
    const storage = new MemoryStorage();
    expect(new FixedWindowRateLimiter(storage).hit('1/month', 'a')).toBe(true);
    const limiter = new CalendarWindowRateLimiter(storage);
    expect(isTemporalLoaded()).toBe(false);
    expect(() =>
      createLimit({ id: 'a', strategy: 'calendar-window', amount: 1, period: 1, calendar: { unit: 'day' } }),
    ).toThrow(
      'Calendar windows need Temporal, which this engine lacks and which is not loaded yet. Wait for it first: await loadTemporal().',
    );

    const [first, second] = [limiter.hit('1/month', 'a'), limiter.hit('1/month', 'a')];
    expect([first, second]).toEqual([expect.any(Promise), expect.any(Promise)]);
    expect([await first, await second]).toEqual([true, false]);
    expect(isTemporalLoaded()).toBe(true);
    expect(limiter.hit('1/month', 'b')).toBe(true);
  });
});
