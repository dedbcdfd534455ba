import { beforeEach, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards } from '@nestjs/common';
import { applyRateLimits, RateLimit, RateLimitGuard, type RateLimitRule } from 'nestjs-limits';
import { everybody } from '../../support/held-work.js';
import { describeOverHttp, limited } from '../../support/http-app.js';

/** Functions of policies, where a request is checked in the middleware, in the guard and after authentication. */

let calls: string[];
beforeEach(() => {
  calls = [];
});

/** Records a call of a function. */
function called<T>(name: string, value: T): () => T {
  return () => {
    calls.push(name);
    return value;
  };
}

@Controller()
@UseGuards(RateLimitGuard)
class PhasesController {
  @Get('skipped')
  @RateLimit('1/minute', { name: 'skipped', skip: called('skip', true), ...everybody })
  skipped() {
    return '';
  }

  @Get('unlimited')
  @RateLimit(called('limits', 'unlimited'), { name: 'unlimited', ...everybody })
  unlimited() {
    return '';
  }

  @Get('beside')
  @RateLimit('9/minute', { name: 'counted', cost: called('cost', 2), ...everybody })
  @RateLimit('1/minute', { name: 'skipped', skip: called('skip', true), ...everybody })
  @RateLimit('8/minute', { name: 'late', phase: 'afterAuth', skip: called('late skip', false), ...everybody })
  beside() {
    return '';
  }

  @Get('ruled')
  ruled() {
    return '';
  }
}

const rules: RateLimitRule[] = [
  { id: 'ruled', path: '/ruled', limits: '1/minute', skip: called('skip', true), ...everybody },
];

describeOverHttp('A request that is checked several times', (start) => {
  it.each([
    ['/skipped', ['skip'], null],
    ['/unlimited', ['limits'], null],
    ['/beside', ['late skip', 'skip', 'cost'], '"counted";r=7, "late";r=7'],
    ['/ruled', ['skip'], null],
  ])('calls each function once, also one that skips it: %s', async (path, names, remaining) => {
    const app = await start(limited([PhasesController], { rules }), {
      configure: (nest) => applyRateLimits(nest),
    });
    calls = [];
    expect((await app.get(path)).remaining).toBe(remaining);
    expect(calls.sort()).toEqual([...names].sort());
  });
});
