import { EventEmitter, once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Post, UnauthorizedException, type ExecutionContext } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { applyRateLimits, RateLimit, type Decision, type RateLimitModuleOptions } from 'nestjs-limits';
import { describeOverGraphql } from '../support/graphql-app.js';
import { describeOverHttp, limited } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { startRpcApp, type RpcApp } from '../support/rpc-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

/** Calls of `onRefused`: the kind of context, and the limits that refused. */
const calls: string[] = [];

afterEach(() => {
  calls.length = 0;
});

function refusingLimits({ limits }: Decision): string {
  return limits
    .filter(({ allowed }) => !allowed)
    .map(({ limit }) => limit.name)
    .join();
}

function record(decision: Decision, context: ExecutionContext): void {
  calls.push(`${context.getType<string>()} ${refusingLimits(decision)}`);
}

describeOverHttp('The option "onRefused"', (start) => {
  it('is called once for each refused request, with the decision and the context', async () => {
    @Controller()
    class LoginController {
      @Get('login/:name')
      @RateLimit('2/minute')
      login() {
        return '';
      }
    }
    const seen: unknown[] = [];
    const onRefused: RateLimitModuleOptions['onRefused'] = (decision, context) => {
      const { params } = context.switchToHttp().getRequest<{ params: { name: string } }>();
      const { limit } = decision.binding;
      seen.push([params.name, decision.route, decision.allowed, limit.where, decision.retryAfter]);
    };
    const app = await start(limited([LoginController], { onRefused }));
    expect(await app.statuses(4, '/login/ann')).toEqual([200, 200, 429, 429]);
    expect(seen).toEqual([
      ['ann', 'GET /login/:name', false, '@RateLimit on LoginController.login', 60_000],
      ['ann', 'GET /login/:name', false, '@RateLimit on LoginController.login', 60_000],
    ]);
  });

  it('is not awaited, so that a function that never ends delays no answer', async () => {
    @Controller()
    class SlowController {
      @Get()
      @RateLimit('1/minute')
      home() {
        return '';
      }
    }
    const onRefused = () => once(new EventEmitter(), 'never');
    const app = await start(limited([SlowController], { onRefused }));
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('may fail: each place is warned of once, and the answer stays 429', async () => {
    @Controller()
    class FailingController {
      @Get('throws')
      @RateLimit('0/minute')
      throws() {
        return '';
      }

      @Get('rejects')
      @RateLimit('0/minute', { onRefused: () => Promise.reject(new Error('no mail server')) })
      rejects() {
        return '';
      }
    }
    const onRefused = (): never => {
      throw new Error('no database');
    };
    const app = await start(limited([FailingController], { onRefused }));
    expect(await app.statuses(2, '/throws')).toEqual([429, 429]);
    expect(await app.statuses(2, '/rejects')).toEqual([429, 429]);
    expect(app.log.warnings).toEqual([
      'RateLimitModule: the function "onRefused" failed, and the request is refused anyway: no database',
      '@RateLimit on FailingController.rejects: the function "onRefused" failed, and the request is refused anyway: no mail server',
    ]);
    expect(app.log.errors).toEqual([]);
  });

  it('of a limit replaces that of the module, and each function is called once', async () => {
    const own = (decision: Decision): number => calls.push(`own ${refusingLimits(decision)}`);
    @Controller()
    class SeveralController {
      @Get()
      @RateLimit('0/minute', { name: 'a', onRefused: own })
      @RateLimit('0/minute; 0/hour', { name: 'b' })
      @RateLimit('0/minute', { name: 'c', onRefused: own })
      @RateLimit('0/minute', { name: 'd' })
      @RateLimit('9/minute', { name: 'e', onRefused: () => calls.push('allowed') })
      home() {
        return '';
      }
    }
    const app = await start(limited([SeveralController], { onRefused: record }));
    expect(await app.statuses(1, '/')).toEqual([429]);
    expect(calls).toEqual(['own a,b/minute,b/hour,c,d', 'http a,b/minute,b/hour,c,d']);
  });

  it('is not called for limits in shadow, nor for requests that are let in', async () => {
    @Controller()
    class ShadowController {
      @Get()
      @RateLimit('0/minute', { mode: 'shadow' })
      home() {
        return '';
      }
    }
    const app = await start(limited([ShadowController], { onRefused: record }));
    expect(await app.statuses(2, '/')).toEqual([200, 200]);
    expect(calls).toEqual([]);
  });

  it('is called for refusals by outcome', async () => {
    @Controller()
    class GuessingController {
      @Get()
      @RateLimit('2/minute', { count: 'failure' })
      guess() {
        throw new UnauthorizedException();
      }
    }
    const errorFactory = () => new UnauthorizedException('Locked');
    const app = await start(limited([GuessingController], { onRefused: record, errorFactory }));
    expect(await app.statuses(3, '/')).toEqual([401, 401, 401]);
    expect(calls).toEqual(['http default']);
  });

  it('is called for refusals that a remote storage remembers', async () => {
    @Controller()
    class RememberedController {
      @Get()
      @RateLimit('1/minute')
      home() {
        return '';
      }
    }
    const storage = new MapCasStorage(new MapCasServer());
    const app = await start(limited([RememberedController], { storage, onRefused: record }));
    expect(await app.statuses(4, '/')).toEqual([200, 429, 429, 429]);
    expect(calls).toEqual(['http default', 'http default', 'http default']);
  });

  it('is called once for a rule that middleware and guard apply', async () => {
    @Controller()
    class RuledController {
      @Post()
      home() {
        return '';
      }
    }
    const rules = [{ id: 'all', path: '/**', limits: '1/minute', onRefused: record }];
    const app = await start(limited([RuledController], { rules }), { configure: applyRateLimits });
    expect((await app.post('/')).status).toBe(201);
    expect((await app.post('/')).status).toBe(429);
    expect((await app.get('/none')).status).toBe(429);
    expect(calls).toEqual(['http all', 'http all']);
  });

  it('is not called for addresses that are denied, nor for requests that the store could not decide', async () => {
    @Controller()
    class DeniedController {
      @Get()
      @RateLimit('1/minute')
      home() {
        return '';
      }
    }
    const denied = await start(limited([DeniedController], { deny: ['127.0.0.1'], onRefused: record }));
    expect(await denied.statuses(1, '/')).toEqual([403]);
    const storage = new MapCasStorage(new MapCasServer());
    void storage.close();
    const lost = await start(
      limited([DeniedController], { storage, resilience: { onError: 'deny' }, onRefused: record }),
    );
    expect(await lost.statuses(1, '/')).toEqual([503]);
    expect(calls).toEqual([]);
  });
});

describeOverGraphql('The option "onRefused" on GraphQL', (start) => {
  it('is called once for each refused field', async () => {
    @Resolver()
    class GreetingResolver {
      @Query(() => String)
      @RateLimit('1/minute')
      greeting() {
        return 'Hello';
      }
    }
    const app = await start([GreetingResolver], { limits: { onRefused: record } });
    expect(await app.outcomes(1, '{ greeting }')).toEqual(['Hello']);
    await app.ask('{ a: greeting, b: greeting }');
    expect(calls).toEqual(['graphql default', 'graphql default']);
  });
});

describeOverWebSockets('The option "onRefused" on WebSockets', (start) => {
  it('is called for refused messages and connections', async () => {
    @WebSocketGateway()
    class ChatGateway {
      @RateLimit('1/minute', { name: 'connections' })
      handleConnection() {}

      @SubscribeMessage('say')
      @RateLimit('1/minute', { name: 'messages' })
      say() {
        return { event: 'said', data: 'said' };
      }
    }
    const app = await start([ChatGateway], { limits: { onRefused: record } });
    const client = await app.connect();
    expect(await client.outcomes(2, 'say', {})).toEqual(['said', 'refused']);
    await (await app.connect()).ended();
    expect(calls).toEqual(['ws messages', 'ws connections']);
  });
});

describe('The option "onRefused" of microservices', () => {
  let app: RpcApp | undefined;
  afterEach(() => app?.close());

  it('is called for refused messages and events', async () => {
    @Controller()
    class SumController {
      @MessagePattern('sum')
      @RateLimit('1/minute', { name: 'messages' })
      sum() {
        return 3;
      }

      @EventPattern('done')
      @RateLimit('0/minute', { name: 'events' })
      done(_data: unknown) {}
    }
    app = await startRpcApp([SumController], { limits: { onRefused: record } });
    const client = app.connect();
    expect(await client.outcomes(2, 'sum')).toEqual([3, 'refused']);
    await client.emit('done');
    await client.ask('sum');
    expect(calls).toEqual(['rpc messages', 'rpc events', 'rpc messages']);
  });
});
