import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService, type Meter } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

@Controller()
class CompletionsController {
  @Get('completions')
  @RateLimit({ free: '100/day', pro: '500/day', internal: 'unlimited' }, { name: 'tokens', cost: 10 })
  complete() {
    return '';
  }

  @Get('found')
  @RateLimit(() => '60/day', { name: 'found' })
  found() {
    return '';
  }
}

const client = '127.0.0.1';

async function drain(meter: Meter, units = 1): Promise<number> {
  const before = meter.used;
  while (await meter.add(units));
  return meter.used - before;
}

describeOverHttp('A meter by policy', (start) => {
  it('shares the counts of the guard', async () => {
    const app = await start(limited([CompletionsController]));
    const service = app.nest.get(RateLimiterService);
    expect((await app.get('/completions')).remaining).toBe('"tokens";r=90');
    {
      await using meter = await service.meter({ policy: 'tokens' }, [client], { step: 40 });
      await meter.add(25);
      expect((await app.get('/completions')).remaining).toBe('"tokens";r=40');
    }
    expect((await app.get('/completions')).remaining).toBe('"tokens";r=45');
  });

  it('takes the limits of a plan, and those that a function would return', async () => {
    const app = await start(limited([CompletionsController]));
    const service = app.nest.get(RateLimiterService);
    const meterOf = (reference: Parameters<typeof service.meter>[0]): Promise<Meter> =>
      service.meter(reference, ['acme'], { step: 40 });
    expect(await drain(await meterOf({ policy: 'tokens', as: 'ip' }))).toBe(100);
    expect(await drain(await meterOf({ policy: 'tokens', as: 'ip', plan: 'pro' }))).toBe(400);
    expect(await drain(await meterOf({ policy: 'found', as: 'ip', limits: '70/day' }))).toBe(70);
    await expect(meterOf({ policy: 'tokens', plan: 'internal' })).rejects.toThrow(
      'The policy "tokens" has no limit for the plan "internal": nothing is counted.',
    );
    await expect(meterOf({ policy: 'token' })).rejects.toThrow('There is no policy "token".');
  });

  it('keeps the limits that hold when it is opened, while rules are replaced', async () => {
    const clock = new ManualClock();
    const rule = { id: 'tokens', path: '/tokens', limits: '100/day' };
    const app = await start(limited([], { rules: [rule] }, clock));
    const service = app.nest.get(RateLimiterService);
    const meter = await service.meter({ policy: 'tokens' }, [client], { step: 10 });
    await meter.add(10);
    await service.setRules([{ ...rule, limits: '50/day' }]);
    expect(await drain(meter)).toBe(90);
    const next = await service.meter({ policy: 'tokens' }, [client], { step: 10 });
    expect(await next.add(1)).toBe(false);
    await service.setRules([]);
    clock.advance(86_400_000);
    expect(await meter.add(1)).toBe(true);
  });

  it('is an event per step', async () => {
    const app = await start(limited([CompletionsController]));
    const service = app.nest.get(RateLimiterService);
    const seen: unknown[] = [];
    service.events$.subscribe((event) => {
      if ('decision' in event) seen.push([event.type, event.decision.remaining]);
    });
    const meter = await service.meter('100/day', ['acme'], { step: 60 });
    await drain(meter, 20);
    await meter.end();
    expect(seen).toEqual([
      ['decision', 40],
      ['decision', 0],
      ['near-limit', 0],
      ['decision', 0],
      ['refused', 0],
    ]);
  });
});
