import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService, type RateLimitModuleOptions } from 'nestjs-limits';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

@Controller()
class PlainController {
  @Get()
  @RateLimit('2/minute')
  get() {
    return '';
  }
}

async function open(
  start: StartHttpApp,
  options: RateLimitModuleOptions = {},
): Promise<{ app: HttpApp; service: RateLimiterService }> {
  const app = await start(limited([PlainController], options), { trustProxy: true });
  return { app, service: app.nest.get(RateLimiterService) };
}

function mistakeOf(call: () => void): [name: string, message: string] | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return [(error as Error).name, (error as Error).message];
  }
}

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

describeOverHttp('setNetworks', (start) => {
  it('allows and denies networks from the next request on', async () => {
    const { app, service } = await open(start);
    expect((await app.get('/', from('10.0.0.1'))).status).toBe(200);
    service.setNetworks({ allow: ['10.0.0.0/8'], deny: ['10.6.0.0/16', '203.0.113.7'] });
    expect(await app.statuses(4, '/', from('10.0.0.1'))).toEqual([200, 200, 200, 200]);
    expect((await app.get('/', from('10.6.0.1'))).status).toBe(403);
    expect((await app.get('/', from('203.0.113.7'))).status).toBe(403);
    expect(await app.statuses(3, '/', from('203.0.113.8'))).toEqual([200, 200, 429]);
  });

  it('replaces the list that is given, and keeps the other one', async () => {
    const { app, service } = await open(start, { allow: ['10.0.0.0/8'], deny: ['10.6.0.0/16'] });
    service.setNetworks({ deny: ['10.7.0.0/16'] });
    expect((await app.get('/', from('10.7.0.1'))).status).toBe(403);
    expect(await app.statuses(3, '/', from('10.6.0.1'))).toEqual([200, 200, 200]);
  });

  it('empties a list, as if there were none', async () => {
    const { app, service } = await open(start, { allow: ['10.0.0.0/8'], deny: ['10.6.0.0/16'] });
    service.setNetworks({ deny: [] });
    expect(await app.statuses(3, '/', from('10.6.0.1'))).toEqual([200, 200, 200]);
    service.setNetworks({ allow: [], deny: undefined });
    expect(await app.statuses(3, '/', from('10.6.0.1'))).toEqual([200, 200, 429]);
  });

  it('denies requests without a route too, if the module began with a list, be it empty', async () => {
    const { app, service } = await open(start, { deny: [] });
    expect((await app.get('/nothing', from('10.6.0.1'))).status).toBe(404);
    service.setNetworks({ deny: ['10.6.0.0/16'] });
    expect((await app.get('/nothing', from('10.6.0.1'))).status).toBe(403);
    expect((await app.get('/nothing', from('10.7.0.1'))).status).toBe(404);
  });

  it('keeps both lists if one of them is invalid', async () => {
    const { app, service } = await open(start, { deny: ['10.6.0.0/16'] });
    for (const [networks, message] of [
      [
        { allow: ['10.6.0.0/16'], deny: ['10.0.0.0/33'] },
        'The option "deny" lists networks such as "10.0.0.0/8" or "2001:db8::/32"; got the string "10.0.0.0/33".',
      ],
      [
        { deny: '10.6.0.0/16' },
        'The option "deny" of setNetworks must be a list; got the string "10.6.0.0/16".',
      ],
      [{ block: [] }, 'setNetworks does not know the option "block". Known options: allow, deny.'],
      [undefined, 'The argument of setNetworks must be an object; got undefined.'],
    ] as const)
      expect(mistakeOf(() => service.setNetworks(untyped(networks)))).toEqual([
        'ConfigurationError',
        message,
      ]);
    expect((await app.get('/', from('10.6.0.1'))).status).toBe(403);
  });
});
