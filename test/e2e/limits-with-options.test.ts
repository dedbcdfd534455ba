import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import {
  applyRateLimits,
  ConfigurationError,
  parse,
  RateLimit,
  RateLimiterService,
  requestOf,
  type GivenLimits,
  type PlanFunction,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

const CLIENT = '127.0.0.1';

const headerOf = (context: ExecutionContext, name: string): string | undefined =>
  requestOf(context)?.headers?.[name] as string | undefined;

const planOf: PlanFunction = (context) => headerOf(context, 'x-plan');

const plan = (name: string): Record<string, string> => ({ 'x-plan': name });

/** The limits of a function, as JSON in a header. */
const found = (limits: unknown): Record<string, string> => ({ 'x-limits': JSON.stringify(limits) });

const limitsOf = (context: ExecutionContext): GivenLimits =>
  JSON.parse(headerOf(context, 'x-limits') ?? '"unlimited"') as GivenLimits;

@Controller()
class ApiController {
  @Get('plans')
  @RateLimit(
    {
      free: '2/minute',
      pro: { limits: '3/minute', burst: 5, block: '1 hour' },
      team: { limits: ['3/minute', '4/hour'] },
      off: '0/minute',
      internal: { limits: 'unlimited' },
    },
    { strategy: 'token-bucket', name: 'plan' },
  )
  plans() {
    return '';
  }

  @Get('found')
  @RateLimit(limitsOf, { name: 'found', strategy: 'token-bucket' })
  found() {
    return '';
  }

  @Get('list')
  @RateLimit(['2/second', '3/minute'])
  list() {
    return '';
  }

  @Get('open')
  @RateLimit('unlimited')
  open() {
    return '';
  }

  @Get('shared')
  shared() {
    return '';
  }
}

interface Api {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp, options: RateLimitModuleOptions = {}): Promise<Api> {
  const clock = new ManualClock();
  const app = await start(limited([ApiController], { plan: planOf, ...options }, clock), {
    configure: applyRateLimits,
  });
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

describeOverHttp('A plan with options', (start) => {
  it('has a burst and a block of its own', async () => {
    const { app, clock } = await open(start);
    expect(await app.statuses(6, '/plans', plan('pro'))).toEqual([200, 200, 200, 200, 200, 429]);
    expect((await app.get('/plans', plan('pro'))).headers.get('retry-after')).toBe('3600');
    clock.advance(3_600_000);
    expect((await app.get('/plans', plan('pro'))).status).toBe(200);
    const other = await open(start);
    expect(await other.app.statuses(3, '/plans', plan('free'))).toEqual([200, 200, 429]);
    expect((await other.app.get('/plans', plan('free'))).headers.get('retry-after')).toBe('30');
  });

  it('keeps what was consumed under another plan, and is not held by the block of a lower one', async () => {
    const { app, service } = await open(start);
    expect(await app.statuses(2, '/plans', plan('free'))).toEqual([200, 200]);
    expect((await app.get('/plans', plan('pro'))).remaining).toBe('"plan";r=2');
    await service.block({ policy: 'plan', plan: 'pro' }, CLIENT);
    expect((await app.get('/plans', plan('pro'))).status).toBe(429);
    expect((await app.get('/plans', plan('free'))).headers.get('retry-after')).toBe('60');
  });

  it('may be a list, nothing at all, or unlimited', async () => {
    const { app } = await open(start);
    expect((await app.get('/plans', plan('team'))).headers.get('ratelimit-policy')).toBe(
      '"plan/minute";q=3;w=60, "plan/hour";q=4;w=3600',
    );
    expect(await app.statuses(2, '/plans', plan('off'))).toEqual([429, 429]);
    expect((await app.get('/plans', plan('internal'))).fields).toEqual({});
  });

  it('that is the strictest holds for requests without a plan, with its options', async () => {
    const { app } = await open(start);
    expect((await app.get('/plans')).status).toBe(429); // of the plan "off"
  });

  it('works in rules, and changes with them', async () => {
    const rule = {
      id: 'api',
      path: '/shared',
      strategy: 'token-bucket',
      plans: { pro: { limits: '2/minute', burst: 3 } },
    } as const;
    const { app, service } = await open(start, { rules: [rule] });
    expect((await app.get('/shared', plan('pro'))).remaining).toBe('"api";r=2');
    await service.setRules([{ ...rule, plans: { pro: { limits: '2/minute', burst: 9, block: '1 hour' } } }]);
    expect((await app.get('/shared', plan('pro'))).remaining).toBe('"api";r=7');
    expect(await app.statuses(8, '/shared', plan('pro'))).toEqual([...Array<number>(7).fill(200), 429]);
    expect((await app.get('/shared', plan('pro'))).headers.get('retry-after')).toBe('3600');
  });

  it.each<[string, unknown, string]>([
    [
      'an unknown option',
      { limits: '5/minute', strategy: 'token-bucket' },
      'An object of limits does not know the option "strategy". Known options: limits, burst, block, wait.',
    ],
    ['no limits', { burst: 5 }, 'An object of limits needs "limits": { limits: \'10/minute\', burst: 20 }.'],
    [
      'a malformed block',
      { limits: '5/minute', block: 'soon' },
      'A length of time is written as "15 minutes" or "1 hour"; got the string "soon".',
    ],
    [
      'a burst of several limits',
      { limits: '5/minute; 9/hour', burst: 5 },
      'A burst needs a single limit. Declare each limit with its own burst and name.',
    ],
    [
      'a burst without a token bucket',
      { limits: '5/minute', burst: 5 },
      'The burst of the limit "default" is for the strategy "token-bucket" only, not for "fixed-window".',
    ],
  ])('stops the start with %s', async (_mistake, value, message) => {
    const started = open(start, { limits: [{ plans: { pro: untyped(value) } }] });
    const error = await started.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toBe(`RateLimitModule: ${message}`);
  });
});

describeOverHttp('A function that returns limits', (start) => {
  it('may return options, lists, items and nothing, request by request', async () => {
    const { app } = await open(start);
    const policyOf = async (limits: unknown): Promise<[number, string | null]> => {
      const { status, remaining } = await app.get('/found', found(limits));
      return [status, remaining];
    };
    expect(await policyOf({ limits: '3/minute', burst: 5 })).toEqual([200, '"found";r=4']);
    expect(await policyOf({ limits: ['3/minute'], burst: 9 })).toEqual([200, '"found";r=7']);
    expect(await policyOf(['5/minute', '7/hour'])).toEqual([200, '"found/minute";r=2, "found/hour";r=6']);
    expect(await policyOf('unlimited')).toEqual([200, null]);
    expect(await policyOf({ limits: 'unlimited', burst: 5 })).toEqual([200, null]);
  });

  it('may return a block, which holds where the limits have one', async () => {
    const { app, clock } = await open(start);
    const strict = found({ limits: '1/minute', block: { after: 2, for: '1 hour' } });
    expect(await app.statuses(3, '/found', strict)).toEqual([200, 429, 429]);
    expect((await app.get('/found', strict)).headers.get('retry-after')).toBe('3600');
    clock.advance(120_000);
    expect((await app.get('/found', strict)).headers.get('retry-after')).toBe('3480');
    expect((await app.get('/found', found('1/minute'))).status).toBe(200);
  });

  it('compiles equal answers once, whatever their form', async () => {
    const clock = new ManualClock();
    let seen: unknown;
    @Controller()
    class FoundController {
      @Get()
      @RateLimit(() => ({ limits: ['3/minute', '9/hour'], block: '1 hour' }))
      get() {
        return '';
      }
    }
    const app = await start(limited([FoundController], {}, clock));
    const service = app.nest.get(RateLimiterService);
    service.events$.subscribe((event) => {
      if (event.type === 'decision') seen = event.decision.limits.map(({ limit }) => limit);
    });
    await app.get('/');
    const first = seen as unknown[];
    await app.get('/');
    expect((seen as unknown[]).map((limit, index) => limit === first[index])).toEqual([true, true]);
  });

  it('is reached by hand with what it would return, options too', async () => {
    const { app, service } = await open(start);
    const limits = { limits: '3/minute', burst: 5, block: '1 hour' };
    await app.get('/found', found(limits));
    expect((await service.peek({ policy: 'found', limits }, CLIENT)).remaining).toBe(4);
    await service.block({ policy: 'found', limits }, CLIENT);
    expect((await app.get('/found', found(limits))).headers.get('retry-after')).toBe('3600');
    await service.unblock({ policy: 'found', limits }, CLIENT);
    expect((await app.get('/found', found(limits))).remaining).toBe('"found";r=3');
    expect((await service.consume({ policy: 'found', limits: ['3/minute'] }, CLIENT)).remaining).toBe(0);
    expect(() => service.peek({ policy: 'found', limits: 'unlimited' }, CLIENT)).toThrow(
      'The limits given for the policy "found" are unlimited: nothing is counted.',
    );
  });

  it('that returns something else fails the request, which counts nothing, and names its place', async () => {
    const { app } = await open(start);
    for (const limits of [5, [], {}, { limits: '3/minute', bust: 5 }])
      expect((await app.get('/found', found(limits))).status).toBe(500);
    expect(String(app.log.errors[0])).toContain(
      '@RateLimit on ApiController.found: the function "limits" failed',
    );
  });
});

describeOverHttp('A list of limits', (start) => {
  it('is one decision, as one text of several', async () => {
    const { app, clock } = await open(start);
    expect((await app.get('/list')).remaining).toBe('"default/second";r=1, "default/minute";r=2');
    expect(await app.statuses(2, '/list')).toEqual([200, 429]);
    clock.advance(1000);
    expect(await app.statuses(2, '/list')).toEqual([200, 429]);
  });

  it('is accepted from the module, in a declaration, with items, and in rules', async () => {
    const { app } = await open(start, {
      limits: ['7/minute', '9/hour'],
      rules: [{ id: 'rule', path: '/shared', limits: [parse('4/second'), '5/minute'] }],
    });
    expect((await app.get('/shared')).remaining).toBe(
      '"rule/second";r=3, "rule/minute";r=4, "default/minute";r=6, "default/hour";r=8',
    );
    const other = await open(start, { limits: [{ name: 'all', limits: ['7/minute'] }] });
    expect((await other.app.get('/shared')).remaining).toBe('"all";r=6');
  });
});

describeOverHttp("The limits 'unlimited'", (start) => {
  it("of a route replace the module's", async () => {
    const { app } = await open(start, { limits: '1/minute' });
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/shared')).toEqual([200, 429]);
  });

  it('of a rule exempt its paths from the rules after it, also where no route answers', async () => {
    const { app, service } = await open(start, {
      rules: [
        { id: 'all', path: '/**', limits: '2/minute' },
        { id: 'free', path: '/open', limits: 'unlimited' },
        { id: 'nowhere', path: '/nowhere/*', limits: 'unlimited' },
      ],
    });
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 200]);
    expect(await app.statuses(3, '/nowhere/else')).toEqual([404, 404, 404]);
    expect(await app.statuses(3, '/shared')).toEqual([200, 200, 429]);
    expect(() => service.peek({ policy: 'free' }, CLIENT)).toThrow(
      'The policy "free" is unlimited: nothing is counted.',
    );
    await service.setRules([{ id: 'free', path: '/open', limits: '1/minute' }]);
    expect(await app.statuses(2, '/open')).toEqual([200, 429]);
  });

  it('of a rule that continues exempt from nothing', async () => {
    const { app } = await open(start, {
      rules: [
        { id: 'all', path: '/**', limits: '2/minute' },
        { id: 'free', path: '/open', limits: 'unlimited', continue: true },
      ],
    });
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 429]);
  });

  it('hold for requests without a plan, where plans have limits', async () => {
    const { app } = await open(start, { limits: [{ limits: 'unlimited', plans: { free: '1/minute' } }] });
    expect(await app.statuses(2, '/shared')).toEqual([200, 200]);
    expect(await app.statuses(2, '/shared', plan('free'))).toEqual([200, 429]);
  });
});
