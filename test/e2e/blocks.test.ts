import { expect, it } from '@jest/globals';
import { Controller, Get, Res } from '@nestjs/common';
import {
  ConfigurationError,
  RateLimit,
  RateLimiterService,
  type BlockOption,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

const HOUR = 3_600_000;
const CLIENT = '127.0.0.1';

@Controller()
class DoorController {
  @Get('plain')
  @RateLimit('1/minute', { name: 'plain' })
  plain() {
    return '';
  }

  @Get('gentle')
  @RateLimit('1/minute', { name: 'gentle', block: [] })
  gentle() {
    return '';
  }

  @Get('window')
  @RateLimit('1/minute; 9/hour', { name: 'window', block: 'window' })
  window() {
    return '';
  }

  @Get('patient')
  @RateLimit('1/minute', { name: 'patient', block: { after: 3, for: ['1 hour', '1 day'] } })
  patient() {
    return '';
  }

  @Get('shadow')
  @RateLimit('1/minute', { name: 'shadow', mode: 'shadow', block: { after: 2, for: '1 hour' } })
  shadow() {
    return '';
  }

  @Get('login')
  @RateLimit('1/minute', { name: 'login', count: 'failure', block: { after: 2, for: '1 hour' } })
  login(@Res({ passthrough: true }) response: { status(code: number): unknown }) {
    response.status(401);
    return '';
  }
}

interface Door {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp, options: RateLimitModuleOptions = {}): Promise<Door> {
  const clock = new ManualClock();
  const app = await start(limited([DoorController], options, clock));
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

async function waitOf(app: HttpApp, path: string): Promise<string | null> {
  return (await app.get(path)).headers.get('retry-after');
}

describeOverHttp('A block of the module', (start) => {
  it('is that of limits that have none, and of no other', async () => {
    const { app } = await open(start, { block: '1 hour' });
    expect(await app.statuses(2, '/plain')).toEqual([200, 429]);
    expect(await waitOf(app, '/plain')).toBe('3600');
    expect(await app.statuses(2, '/gentle')).toEqual([200, 429]);
    expect(await waitOf(app, '/gentle')).toBe('60');
    expect(await app.statuses(2, '/window')).toEqual([200, 429]);
    expect(await waitOf(app, '/window')).toBe('60');
  });

  it('is that of rules and of plans, and may be set by hand', async () => {
    const rules = [{ id: 'rule', path: '/nowhere', limits: '1/minute' }];
    const { app, service } = await open(start, { block: ['1 hour', '1 day'], rules });
    await service.block({ policy: 'plain' }, CLIENT, '12 hours');
    expect(await waitOf(app, '/plain')).toBe('43200');
    expect(await service.hit({ policy: 'rule' }, CLIENT)).toBe(true);
    expect((await service.consume({ policy: 'rule' }, CLIENT)).retryAfter).toBe(HOUR);
    await service.setRules([{ id: 'new', path: '/nowhere', limits: '1/minute' }]);
    await service.hit({ policy: 'new' }, CLIENT);
    expect((await service.consume({ policy: 'new' }, CLIENT)).retryAfter).toBe(HOUR);
  });

  it('is none of limits by hand', async () => {
    const { service } = await open(start, { block: '1 hour' });
    await service.hit('1/minute', 'a');
    expect(await service.consume('1/minute', 'a')).toMatchObject({ allowed: false, retryAfter: 60_000 });
  });
});

describeOverHttp("A block: 'window'", (start) => {
  it('lasts for the period of the limit that refused, from the refusal', async () => {
    const { app, clock } = await open(start);
    expect(await app.statuses(1, '/window')).toEqual([200]);
    clock.advance(40_000);
    expect(await waitOf(app, '/window')).toBe('60');
    clock.advance(59_999);
    expect(await app.statuses(1, '/window')).toEqual([429]);
    clock.advance(1);
    expect(await app.statuses(1, '/window')).toEqual([200]);
  });
});

describeOverHttp('A block after several refusals', (start) => {
  it('begins with the last of them, and lasts longer the next time', async () => {
    const { app, clock } = await open(start);
    expect(await app.statuses(3, '/patient')).toEqual([200, 429, 429]);
    expect(await waitOf(app, '/patient')).toBe('3600');
    clock.advance(HOUR);
    expect(await app.statuses(3, '/patient')).toEqual([200, 429, 429]);
    expect(await waitOf(app, '/patient')).toBe('86400');
  });

  it('counts refusals of one period only', async () => {
    const { app, clock } = await open(start);
    for (let minute = 0; minute < 3; minute++) {
      expect(await app.statuses(3, '/patient')).toEqual([200, 429, 429]);
      clock.advance(60_000);
    }
  });

  it('is set and lifted by hand, which forgets the refusals', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/patient');
    await service.unblock({ policy: 'patient' }, CLIENT);
    expect(await waitOf(app, '/patient')).toBe('60');
    await service.block({ policy: 'patient' }, CLIENT, '2 hours');
    expect(await waitOf(app, '/patient')).toBe('7200');
  });

  it('refuses nothing in shadow, and is reported', async () => {
    const { app, service } = await open(start);
    const blocked: unknown[] = [];
    service.events$.subscribe((event) => {
      if (event.type === 'decision') blocked.push(event.decision.limits[0]?.blocked);
    });
    expect(await app.statuses(4, '/shadow')).toEqual([200, 200, 200, 200]);
    expect(blocked).toEqual([undefined, undefined, true, true]);
  });

  it('counts by outcome: only refusals that are due to failures', async () => {
    const { app } = await open(start);
    expect(await app.statuses(2, '/login')).toEqual([401, 429]);
    expect(await waitOf(app, '/login')).toBe('3600');
  });
});

describeOverHttp('Rules that share a count', (start) => {
  it.each<[string, BlockOption, BlockOption, string[]]>([
    ['the one that blocks after fewer refusals', '1 hour', { after: 2, for: '1 hour' }, ['3600', '3600']],
    ['the longer one', { after: 2, for: '1 hour' }, '30 minutes', ['60', '3600']],
  ])('block by %s of both', async (_which, one, other, waits) => {
    const shared = { name: 'shared', scope: 'shared', limits: '1/minute', path: '/**', continue: true };
    const { app } = await open(start, {
      rules: [
        { ...shared, id: 'one', block: one },
        { ...shared, id: 'other', block: other },
      ],
    });
    expect(await app.statuses(1, '/gentle')).toEqual([200]);
    expect([await waitOf(app, '/gentle'), await waitOf(app, '/gentle')]).toEqual(waits);
  });
});

describeOverHttp('An invalid block', (start) => {
  it.each<[string, unknown, string]>([
    [
      'a malformed duration',
      'soon',
      'A length of time is written as "15 minutes" or "1 hour"; got the string "soon".',
    ],
    [
      'a duration of 0',
      '0 minutes',
      'A length of time is written as "15 minutes" or "1 hour"; got the string "0 minutes".',
    ],
    ['no duration', { after: 3 }, "A block needs a duration: { after: 20, for: '1 hour' }."],
    [
      'an unknown option',
      { afterwards: 3, for: '1 hour' },
      'A block does not know the option "afterwards". Known options: after, for.',
    ],
    [
      'no whole number of refusals',
      { after: 0, for: '1 hour' },
      'The option "after" of a block must be a whole number, at least 1; got the number 0.',
    ],
  ])(
    'with %s stops the start, of the module and of a limit whose limits a function returns',
    async (_mistake, given, message) => {
      const block = untyped(given) as BlockOption;
      const messageOf = async (options: RateLimitModuleOptions): Promise<string> => {
        const error = await open(start, options).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(ConfigurationError);
        return (error as Error).message;
      };
      expect(await messageOf({ block })).toBe(message);
      expect(await messageOf({ limits: [{ limits: () => '1/minute', block }] })).toBe(
        `RateLimitModule: ${message}`,
      );
    },
  );
});
