import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  parse,
  type RateLimiter,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

/** Results of the Python library `limits` under a clock that stood still between the steps. */
interface Trace {
  readonly strategy: 'fixed-window' | 'moving-window';
  readonly limit: string;
  readonly steps: readonly Step[];
}

/** `at` counts ms from the start of the trace; `resetAfter` counts from the step itself. */
type Step =
  | {
      readonly op: 'hit' | 'test';
      readonly at: number;
      readonly key: string;
      readonly cost: number;
      readonly allowed: boolean;
    }
  | {
      readonly op: 'stats';
      readonly at: number;
      readonly key: string;
      readonly remaining: number;
      readonly resetAfter: number;
    }
  | { readonly op: 'clear'; readonly at: number; readonly key: string };

const START = 1_700_000_000_000;
const LIMITERS = { 'fixed-window': FixedWindowRateLimiter, 'moving-window': MovingWindowRateLimiter };

const fixture = new URL('../../fixtures/limits-traces.json', import.meta.url);
const traces = (JSON.parse(readFileSync(fixture, 'utf8')) as Trace[]).map((trace, index) => ({
  ...trace,
  number: index + 1,
}));

describe('As the Python library limits does,', () => {
  const clock = new ManualClock(START);
  const storage = new MemoryStorage({ clock });
  afterEach(() => void storage.reset());

  it('there are 120 traces of both strategies, with every operation', () => {
    expect(traces).toHaveLength(120);
    expect(new Set(traces.map(({ strategy }) => strategy))).toEqual(
      new Set(['fixed-window', 'moving-window']),
    );
    expect(new Set(traces.flatMap(({ steps }) => steps.map(({ op }) => op)))).toEqual(
      new Set(['hit', 'test', 'stats', 'clear']),
    );
  });

  it.each(traces)('trace $number: $strategy of $limit', async ({ strategy, limit, steps }) => {
    const limiter = new LIMITERS[strategy](storage);
    for (const [index, step] of steps.entries()) {
      clock.set(START + step.at);
      expect({ index, ...(await replay(step, limiter, limit)) }).toEqual({ index, ...step });
    }
  });
});

/** The step with the results of this library. */
async function replay(step: Step, limiter: RateLimiter, limit: string): Promise<Step> {
  const { key } = step;
  switch (step.op) {
    case 'hit':
      return { ...step, allowed: await limiter.hit(limit, [key], { cost: step.cost }) };
    case 'test':
      return { ...step, allowed: await limiter.test(limit, [key], { cost: step.cost }) };
    case 'stats': {
      const { remaining, resetTime } = await limiter.getWindowStats(limit, key);
      const resetAfter = resetTime - START - step.at;
      return {
        ...step,
        remaining,
        resetAfter: agrees(step, resetAfter, limit) ? step.resetAfter : resetAfter,
      };
    }
    case 'clear':
      await limiter.clear(limit, key);
      return step;
  }
}

/**
 * When nothing is consumed, there is no wait here, while `limits` returns some time. Elsewhere it
 * rounds.
 */
function agrees(step: Step & { op: 'stats' }, resetAfter: number, limit: string): boolean {
  if (step.remaining === parse(limit).amount) return resetAfter === 0;
  return Math.abs(resetAfter - step.resetAfter) <= 1;
}
