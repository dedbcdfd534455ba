import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { GqlExecutionContext, Query, Resolver } from '@nestjs/graphql';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { APP_GUARD } from '@nestjs/core';
import { MemoryStorage, RateLimit, RateLimitGuard, RateLimitModule } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';
import { describeOverGraphql } from '../support/graphql-app.js';
import { startRpcApp, type RpcApp } from '../support/rpc-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

interface Authenticated {
  user?: { id: string };
}

const uncounted = (where: string, route: string): string =>
  `@RateLimit on ${where}: the limit "user" of the phase 'afterAuth' is not counted on the route "${route}", ` +
  'where RateLimitGuard is not bound. Bind it after your own guard: @UseGuards(YourGuard, RateLimitGuard).';
const REMEDY = "Give the limit phase: 'afterAuth', and bind RateLimitGuard after your own guard.";
const early = (where: string): string =>
  `@RateLimit on ${where}: the key "user" was looked up before the user was known, so the address was counted instead. ${REMEDY}`;
const earlyKey = (where: string): string =>
  `@RateLimit on ${where}: the function "key" was called before the user was known, and returns another identity afterwards. ${REMEDY}`;
const earlyPlan = (where: string): string =>
  `@RateLimit on ${where}: the function "plan" was called before the user was known, and returns another plan afterwards. ${REMEDY}`;
const late = { name: 'user', phase: 'afterAuth' } as const;

describeOverHttp('A request', (start) => {
  const requestOf = (context: ExecutionContext): Authenticated & { headers: Record<string, string> } =>
    context.switchToHttp().getRequest();
  const userOf = (context: ExecutionContext): string | undefined => requestOf(context).user?.id;
  const planOf = (context: ExecutionContext): string => (userOf(context) === undefined ? 'free' : 'pro');

  class AuthGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const request = requestOf(context);
      request.user = { id: request.headers['authorization'] ?? 'stranger' };
      return true;
    }
  }

  @Controller()
  class EarlyController {
    @Get('key')
    @RateLimit('2/minute', { key: userOf })
    key() {
      return '';
    }

    @Get('later')
    @RateLimit('2/minute', { key: async (context) => Promise.resolve(userOf(context)) })
    later() {
      return '';
    }

    @Get('plan')
    @RateLimit({ free: '2/minute', pro: '99/minute' })
    plan() {
      return '';
    }
  }
  const authentication = { provide: APP_GUARD, useClass: AuthGuard };

  it.each([
    ['key', earlyKey('EarlyController.key')],
    ['later', earlyKey('EarlyController.later')],
    ['plan', earlyPlan('EarlyController.plan')],
  ])('whose "%s" reads the user before authentication causes one warning', async (path, warning) => {
    const app = await start({ ...limited([EarlyController], { plan: planOf }), providers: [authentication] });
    const statuses: number[] = [];
    for (const authorization of ['u1', 'u1', 'u2', 'u2', 'u3'])
      statuses.push((await app.get(`/${path}`, { authorization })).status);
    expect(statuses).toEqual([200, 200, 429, 429, 429]);
    expect(app.log.warnings).toEqual([warning]);
  });

  it('whose guard is bound before the authenticating one causes one warning', async () => {
    const storage = new MemoryStorage({ clock: new ManualClock() });
    const app = await start({
      imports: [RateLimitModule.forRoot({ storage, guard: false })],
      controllers: [EarlyController],
      providers: [{ provide: APP_GUARD, useExisting: RateLimitGuard }, authentication],
    });
    expect((await app.get('/key', { authorization: 'u1' })).status).toBe(200);
    expect((await app.get('/key', { authorization: 'u2' })).status).toBe(200);
    expect((await app.get('/key', { authorization: 'u3' })).status).toBe(429);
    expect(app.log.warnings).toEqual([earlyKey('EarlyController.key')]);
  });
});

describeOverGraphql('A field', (start) => {
  const requestOf = (context: ExecutionContext): Authenticated & { headers: Record<string, string> } => {
    const { req, reply } = GqlExecutionContext.create(context).getContext<{
      req?: never;
      reply?: { request: never };
    }>();
    return req ?? (reply?.request as never);
  };

  class AuthGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const request = requestOf(context);
      const token = request.headers['authorization'];
      if (token === undefined) throw new UnauthorizedException();
      request.user = { id: token };
      return true;
    }
  }

  @Resolver()
  @UseGuards(AuthGuard)
  class AccountResolver {
    @Query(() => String, { nullable: true })
    @RateLimit('1/minute', { ...late, key: 'user' })
    forgotten() {
      return 'forgotten';
    }

    @Query(() => String, { nullable: true })
    @UseGuards(RateLimitGuard)
    @RateLimit('9/minute', { ...late, key: 'user' })
    bound() {
      return 'bound';
    }
  }

  it('whose limit after authentication is never counted causes one warning, after its guards', async () => {
    const app = await start([AccountResolver]);
    await app.outcomes(2, '{ forgotten }');
    expect(app.http.log.warnings).toEqual([]);
    expect(await app.outcomes(3, '{ forgotten }', { authorization: 'ann' })).toEqual(
      Array(3).fill('forgotten'),
    );
    expect(await app.outcomes(2, '{ bound }', { authorization: 'ann' })).toEqual(['bound', 'bound']);
    expect(app.http.log.warnings).toEqual([
      uncounted('AccountResolver.forgotten', 'graphql Query.forgotten'),
    ]);
  });

  it('whose user, key or plan is resolved too early causes one warning', async () => {
    @Resolver()
    @UseGuards(AuthGuard)
    class EarlyResolver {
      @Query(() => String, { nullable: true })
      @RateLimit('9/minute', { key: 'user' })
      user() {
        return 'user';
      }

      @Query(() => String, { nullable: true })
      @RateLimit('9/minute', { key: (context) => requestOf(context).user?.id })
      byKey() {
        return 'key';
      }

      @Query(() => String, { nullable: true })
      @RateLimit({ free: '9/minute', pro: '99/minute' })
      planned() {
        return 'plan';
      }
    }
    const plan = (context: ExecutionContext): string =>
      requestOf(context).user === undefined ? 'free' : 'pro';
    const app = await start([EarlyResolver], { limits: { plan } });
    for (const query of ['{ user }', '{ byKey }', '{ planned }']) {
      await app.outcomes(1, query);
      await app.outcomes(2, query, { authorization: 'ann' });
    }
    expect(app.http.log.warnings).toEqual([
      early('EarlyResolver.user'),
      earlyKey('EarlyResolver.byKey'),
      earlyPlan('EarlyResolver.planned'),
    ]);
  });
});

describeOverWebSockets('A message', (start) => {
  class AuthGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const token = context.switchToWs().getData<string | undefined>();
      if (token === 'stranger') throw new UnauthorizedException();
      context.switchToWs().getClient<Authenticated>().user = { id: String(token) };
      return true;
    }
  }

  @WebSocketGateway()
  @UseGuards(AuthGuard)
  class AccountGateway {
    @SubscribeMessage('forgotten')
    @RateLimit('1/minute', { ...late, key: 'user' })
    forgotten() {
      return { event: 'answer', data: 'forgotten' };
    }

    @SubscribeMessage('bound')
    @UseGuards(RateLimitGuard)
    @RateLimit('9/minute', { ...late, key: 'user' })
    bound() {
      return { event: 'answer', data: 'bound' };
    }

    @SubscribeMessage('early')
    @RateLimit('9/minute', { key: 'user' })
    early() {
      return { event: 'answer', data: 'early' };
    }
  }

  it('whose limit after authentication is never counted causes one warning, after its guards', async () => {
    const app = await start([AccountGateway]);
    const client = await app.connect();
    await client.ask('forgotten', 'stranger');
    expect(app.http.log.warnings).toEqual([]);
    expect(await client.outcomes(3, 'forgotten', 'ann')).toEqual(Array(3).fill('forgotten'));
    expect(await client.outcomes(2, 'bound', 'ann')).toEqual(['bound', 'bound']);
    expect(app.http.log.warnings).toEqual([uncounted('AccountGateway.forgotten', 'ws / forgotten')]);
  });

  it('whose user is resolved too early causes one warning', async () => {
    const app = await start([AccountGateway]);
    for (const token of ['ann', 'bob']) {
      const client = await app.connect();
      await client.outcomes(2, 'early', token);
    }
    expect(app.http.log.warnings).toEqual([early('AccountGateway.early')]);
  });
});

describe('A message or an event of a microservice', () => {
  const running: RpcApp[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((app) => app.close()));
  });

  const start = async (controller: new () => object): Promise<RpcApp> => {
    const app = await startRpcApp([controller]);
    running.push(app);
    return app;
  };
  const contextOf = (context: ExecutionContext): Authenticated =>
    context.switchToRpc().getContext<Authenticated>();

  class AuthGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const token = context.switchToRpc().getData<string>();
      if (token === 'stranger') throw new UnauthorizedException();
      contextOf(context).user = { id: token };
      return true;
    }
  }

  @Controller()
  @UseGuards(AuthGuard)
  class AccountController {
    events = 0;

    @MessagePattern('forgotten')
    @RateLimit('1/minute', late)
    forgotten() {
      return 'forgotten';
    }

    @EventPattern('event')
    @RateLimit('1/minute', late)
    event(event: unknown) {
      this.events++;
      return event;
    }

    @MessagePattern('bound')
    @UseGuards(RateLimitGuard)
    @RateLimit('9/minute', late)
    bound() {
      return 'bound';
    }

    @MessagePattern('early')
    @RateLimit('9/minute', { key: (context) => contextOf(context).user?.id })
    early() {
      return 'early';
    }

    @MessagePattern('known')
    @RateLimit('9/minute', { key: (context) => context.switchToRpc().getData<string>() })
    known() {
      return 'known';
    }
  }

  it('whose limit after authentication is never counted causes one warning, after its guards', async () => {
    const app = await start(AccountController);
    const client = app.connect();
    await client.ask('forgotten', 'stranger');
    await client.ask('bound', 'stranger');
    expect(app.log.warnings).toEqual([]);
    expect(await client.outcomes(3, 'forgotten', 'ann')).toEqual(Array(3).fill('forgotten'));
    await client.emit('event', 'ann');
    await client.emit('event', 'ann');
    expect(await client.outcomes(2, 'bound', 'ann')).toEqual(['bound', 'bound']);
    expect(app.log.warnings).toEqual([
      uncounted('AccountController.forgotten', 'rpc message "forgotten"'),
      uncounted('AccountController.event', 'rpc event "event"'),
    ]);
  });

  it('whose key is resolved too early causes one warning, and no other', async () => {
    const app = await start(AccountController);
    const client = app.connect();
    expect(await client.outcomes(2, 'known', 'ann')).toEqual(['known', 'known']);
    expect(app.log.warnings).toEqual([]);
    expect(await client.outcomes(3, 'early', 'ann')).toEqual(Array(3).fill('early'));
    expect(app.log.warnings).toEqual([earlyKey('AccountController.early')]);
  });
});
