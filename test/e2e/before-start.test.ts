import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Query, Resolver } from '@nestjs/graphql';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  ConfigurationError,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitModule,
  type Decision,
  type IdentityResolver,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

const client = '127.0.0.1';

/** Has the tenants only once Nest has constructed it. */
@Injectable()
class TenantResolver implements IdentityResolver {
  readonly tenant = 'acme';

  resolve(): string {
    return this.tenant;
  }
}

@Controller()
class LoginController {
  @Get('login')
  @RateLimit('3/minute', { name: 'login' })
  login() {
    return '';
  }

  @Get('tenant')
  @RateLimit('3/minute', { name: 'tenant', key: TenantResolver })
  tenant() {
    return '';
  }

  @MessagePattern('sum')
  @RateLimit('4/minute', { name: 'message' })
  sum() {
    return 0;
  }
}

@WebSocketGateway()
class ChatGateway {
  @SubscribeMessage('say')
  @RateLimit('5/minute', { name: 'say' })
  say() {
    return '';
  }
}

@Resolver()
class BooksResolver {
  @Query(() => String)
  @RateLimit('6/minute', { name: 'books' })
  books() {
    return '';
  }
}

const rules = [{ id: 'everything', path: '/**', limits: '9/minute' }];
const remaining = (service: RateLimiterService, policy: string, identity = client): number =>
  (service.peek({ policy }, identity) as Decision).remaining;

describe('Before the application has started', () => {
  const modules: TestingModule[] = [];
  afterEach(async () => {
    await Promise.all(modules.splice(0).map((module) => module.close()));
  });

  async function compiled(options: RateLimitModuleOptions = {}): Promise<RateLimiterService> {
    const module = await Test.createTestingModule({
      imports: [
        RateLimitModule.forRoot({ storage: new MemoryStorage({ clock: new ManualClock() }), ...options }),
      ],
      controllers: [LoginController],
      providers: [TenantResolver, ChatGateway, BooksResolver],
    }).compile();
    modules.push(module);
    return module.get(RateLimiterService);
  }

  it.each([
    ['login', 3],
    ['tenant', 3],
    ['message', 4],
    ['say', 5],
    ['books', 6],
    ['default', 7],
    ['everything', 9],
  ])('the policy "%s" of a module that is only compiled is resolved by its name', async (policy, amount) => {
    const service = await compiled({ rules, limits: '7/minute' });
    expect(remaining(service, policy)).toBe(amount);
    expect(service.hit({ policy }, client)).toBe(true);
    expect(remaining(service, policy)).toBe(amount - 1);
  });

  it('the rules are those of the options', async () => {
    expect((await compiled({ rules })).rules()).toEqual(rules);
  });

  it('an unknown policy throws with the names of the known ones', async () => {
    const service = await compiled();
    expect(() => service.peek({ policy: 'logni' }, client)).toThrow(
      new ConfigurationError(
        'There is no policy "logni". Known policies: login, tenant, message, say, books.',
      ),
    );
  });
});

describeOverHttp('A provider that uses policies by name', (start) => {
  const app = (provider: new (...args: never[]) => object) => ({
    ...limited([LoginController], { rules }),
    providers: [TenantResolver, provider],
  });

  it('in onModuleInit shares the counts of the guard', async () => {
    @Injectable()
    class Starter implements OnModuleInit {
      constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

      async onModuleInit(): Promise<void> {
        await this.limiter.hit({ policy: 'login' }, client);
        await this.limiter.hit({ policy: 'tenant' }, 'acme');
        await this.limiter.hit({ policy: 'everything' }, [client], { cost: 4 });
      }
    }
    const running = await start(app(Starter));
    expect((await running.get('/login')).remaining).toBe('"login";r=1, "everything";r=4');
    expect((await running.get('/tenant')).remaining).toBe('"tenant";r=1, "everything";r=3');
  });

  it('in its constructor leaves resolvers that Nest constructs later intact', async () => {
    @Injectable()
    class Eager {
      constructor(@Inject(RateLimiterService) limiter: RateLimiterService) {
        limiter.hit({ policy: 'tenant' }, 'acme') as boolean;
      }
    }
    const running = await start({ ...app(Eager), providers: [Eager, TenantResolver] });
    expect((await running.get('/tenant')).remaining).toBe('"tenant";r=1, "everything";r=8');
    expect(remaining(running.nest.get(RateLimiterService), 'tenant', 'acme')).toBe(1);
  });

  it('in onModuleInit can replace the rules, which then apply', async () => {
    @Injectable()
    class Ruler implements OnModuleInit {
      constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

      async onModuleInit(): Promise<void> {
        expect(this.limiter.rules()).toEqual(rules);
        await this.limiter.setRules([{ id: 'new', path: '/login', limits: '2/minute' }]);
      }
    }
    const running = await start(app(Ruler));
    expect((await running.get('/login')).remaining).toBe('"login";r=2, "new";r=1');
  });
});

describe('An invalid declaration that is detected before the application has started', () => {
  it('throws with its location where the policy is used', async () => {
    @Controller()
    class WrongController {
      @Get()
      @RateLimit('3/aeon', { name: 'wrong' })
      get() {
        return '';
      }
    }
    const module = await Test.createTestingModule(limited([WrongController])).compile();
    expect(() => module.get(RateLimiterService).peek({ policy: 'wrong' }, client)).toThrow(
      /^@RateLimit on WrongController\.get: /,
    );
    await module.close().catch(() => undefined);
  });
});
