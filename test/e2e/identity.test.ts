import { expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Scope, type ExecutionContext, type Type } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { RateLimit, RateLimiterService, type IdentityResolver } from 'nestjs-limits';
import { describeOverHttp, limited } from '../support/http-app.js';

const header = (context: ExecutionContext, name: string): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers[name];

const forwarded = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
const user = (name: string): Record<string, string> => ({ 'x-user': encodeURIComponent(name) });
const userOf = (context: ExecutionContext): string | undefined => {
  const name = header(context, 'x-user');
  return name === undefined ? undefined : decodeURIComponent(name);
};

@Controller()
class PlainController {
  @Get()
  @RateLimit('2/minute')
  plain() {
    return '';
  }
}

describeOverHttp("The client's address", (start) => {
  it('is that of the connection: no X-Forwarded-For gives a new count', async () => {
    const app = await start(limited([PlainController]));
    const statuses: number[] = [];
    for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3, 203.0.113.4', '2001:db8::1']) {
      const { status } = await app.get('/', {
        ...forwarded(address),
        forwarded: `for=${address}`,
        'x-real-ip': address,
      });
      statuses.push(status);
    }
    expect(statuses).toEqual([200, 200, 429, 429]);
    const decision = await app.nest.get(RateLimiterService).peek({ policy: 'default' }, '127.0.0.1');
    expect(decision.allowed).toBe(false);
  });

  it('is reported by the trusted proxy: each client has its own count', async () => {
    const app = await start(limited([PlainController]), { trustProxy: true });
    expect(await app.statuses(3, '/', forwarded('203.0.113.1'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/', forwarded('203.0.113.2'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/')).toEqual([200]);
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, '203.0.113.1')).remaining).toBe(0);
    expect((await service.peek({ policy: 'default' }, '127.0.0.1')).remaining).toBe(1);
  });

  it('is the network of 64 bits for IPv6, since a client can use any address in it', async () => {
    const app = await start(limited([PlainController]), { trustProxy: true });
    expect(await app.statuses(1, '/', forwarded('2001:db8:1:2::1'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('2001:db8:1:2:ffff:ffff:ffff:ffff'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('2001:0DB8:0001:0002:0:0:0:9'))).toEqual([429]);
    expect(await app.statuses(1, '/', forwarded('2001:db8:1:3::1'))).toEqual([200]);
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, '2001:db8:1:2:3:4:5:6')).remaining).toBe(0);
  });

  it('is the IPv4 address if it is mapped into IPv6', async () => {
    const app = await start(limited([PlainController]), { trustProxy: true });
    expect(await app.statuses(1, '/', forwarded('203.0.113.7'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('::ffff:203.0.113.7'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('::FFFF:cb00:7107'))).toEqual([429]);
    expect(await app.statuses(1, '/', forwarded('::ffff:203.0.113.8'))).toEqual([200]);
  });
});

describeOverHttp('A forwarded value that is not an address', (start) => {
  it.each(['unknown', '_hidden', '"><script>', '1.2.3.4.5', '::1::', '%0a/{}', '-', 'x'.repeat(4096)])(
    'is a separate identity and never an error: %.20s',
    async (address) => {
      const app = await start(limited([PlainController]), { trustProxy: true });
      expect(await app.statuses(3, '/', forwarded(address))).toEqual([200, 200, 429]);
      expect(await app.statuses(1, '/', forwarded('203.0.113.1'))).toEqual([200]);
      expect(app.log.entries).toEqual([]);
    },
  );
});

describeOverHttp('A port that the proxy adds', (start) => {
  it('gives no new count', async () => {
    const app = await start(limited([PlainController]), { trustProxy: true });
    expect(await app.statuses(1, '/', forwarded('203.0.113.1:1024'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('203.0.113.1:1025'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('203.0.113.1'))).toEqual([429]);
    expect(await app.statuses(1, '/', forwarded('[2001:db8::1]:1024'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('[2001:db8::2]:1025'))).toEqual([200]);
    expect(await app.statuses(1, '/', forwarded('2001:db8::3'))).toEqual([429]);
  });
});

describeOverHttp('A key function', (start) => {
  @Controller()
  class KeyController {
    @Get('module')
    @RateLimit('2/minute')
    module() {
      return '';
    }

    @Get('own')
    @RateLimit('2/minute', { key: (context) => header(context, 'x-tenant') })
    own() {
      return '';
    }
  }

  it.each([
    ['at once', userOf],
    ['later', async (context: ExecutionContext) => Promise.resolve(userOf(context))],
  ])('of the module selects the identity, returning %s', async (_when, key) => {
    const app = await start(limited([KeyController], { key }));
    expect(await app.statuses(3, '/module', user('ann'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/module', user('bob'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/module')).toEqual([200, 200, 429]);
  });

  it('of a decorator replaces that of the module', async () => {
    const app = await start(limited([KeyController], { key: userOf }));
    const tenant = { 'x-tenant': 'acme' };
    expect(await app.statuses(1, '/own', { ...tenant, ...user('ann') })).toEqual([200]);
    expect(await app.statuses(1, '/own', { ...tenant, ...user('bob') })).toEqual([200]);
    expect(await app.statuses(1, '/own', { ...tenant, ...user('cid') })).toEqual([429]);
    expect(await app.statuses(1, '/own', { 'x-tenant': 'other' })).toEqual([200]);
  });

  it('can count the limits of one route by different identities', async () => {
    @Controller()
    class TwoKeysController {
      @Get()
      @RateLimit('3/minute', { name: 'address' })
      @RateLimit('2/minute', { name: 'user', key: userOf })
      get() {
        return '';
      }
    }
    const app = await start(limited([TwoKeysController]));
    expect((await app.get('/', user('ann'))).remaining).toBe('"address";r=2, "user";r=1');
    expect((await app.get('/', user('bob'))).remaining).toBe('"address";r=1, "user";r=1');
    expect((await app.get('/', user('ann'))).remaining).toBe('"address";r=0, "user";r=0');
    const refused = await app.get('/', user('bob'));
    expect([refused.status, refused.remaining]).toEqual([429, '"address";r=0, "user";r=1']);
  });

  it.each([undefined, null, ''])('that returns %j falls back to the address', async (nobody) => {
    for (const answer of [nobody, Promise.resolve(nobody)]) {
      const key = (context: ExecutionContext) => userOf(context) ?? answer;
      const app = await start(limited([KeyController], { key }), { trustProxy: true });
      expect(await app.statuses(3, '/module', forwarded('203.0.113.1'))).toEqual([200, 200, 429]);
      expect(await app.statuses(1, '/module', forwarded('203.0.113.2'))).toEqual([200]);
      expect(await app.statuses(1, '/module', { ...forwarded('203.0.113.1'), ...user('ann') })).toEqual([
        200,
      ]);
    }
  });

  it('that returns an address does not share the count of that address', async () => {
    const app = await start(limited([KeyController], { key: userOf }), { trustProxy: true });
    expect(await app.statuses(3, '/module', forwarded('1.2.3.4'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/module', user('1.2.3.4'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/module', user('ip:1.2.3.4'))).toEqual([200]);
    expect(await app.statuses(1, '/module', user('unknown'))).toEqual([200]);
  });

  it('can return any text, and different texts never share a count', async () => {
    const app = await start(limited([KeyController], { key: userOf }));
    const names = [
      'a/b',
      'a%2Fb',
      'a%252Fb',
      'a b',
      'a\tb',
      'a\nb',
      ' ',
      '{a}b',
      'a:b',
      'ä',
      'a\u0308',
      '名前',
      '😀',
      '__proto__',
      'constructor',
      'toString',
      '..',
      'x'.repeat(128),
      'x'.repeat(129),
      'x'.repeat(4096),
      'x'.repeat(4095) + 'y',
      '😀'.repeat(300),
    ];
    for (const name of names) {
      expect((await app.get('/module', user(name))).remaining).toBe('"default";r=1');
    }
    for (const name of names) expect(await app.statuses(2, '/module', user(name))).toEqual([200, 429]);
    const service = app.nest.get(RateLimiterService);
    for (const name of names) {
      const reference = { policy: 'default', route: 'GET /module' };
      expect((await service.peek(reference, name)).remaining).toBe(0);
    }
  });

  it('is called once per request, for any number of policies', async () => {
    let calls = 0;
    const key = async (context: ExecutionContext): Promise<string | undefined> => {
      calls++;
      return Promise.resolve(userOf(context));
    };
    @Controller()
    class SharedKeyController {
      @Get()
      @RateLimit('9/minute; 90/hour')
      @RateLimit('9/second', { name: 'own', key })
      @RateLimit('9/day', { name: 'skipped', key, skip: () => true })
      get() {
        return '';
      }
    }
    const app = await start(
      limited([SharedKeyController], { key, limits: [{ name: 'all', limits: '9/day' }] }),
    );
    expect((await app.get('/', user('ann'))).remaining).toBe(
      '"all";r=8, "default/minute";r=8, "default/hour";r=89, "own";r=8',
    );
    expect(calls).toBe(1);
    await app.get('/', user('ann'));
    expect(calls).toBe(2);
  });
});

@Injectable()
class Tenants {
  of(name: string | undefined): string | undefined {
    return name === undefined ? undefined : `tenant of ${name}`;
  }
}

@Injectable()
class TenantResolver implements IdentityResolver {
  constructor(@Inject(Tenants) private readonly tenants: Tenants) {}

  async resolve(context: ExecutionContext): Promise<string | undefined> {
    return Promise.resolve(this.tenants.of(userOf(context)));
  }
}

describeOverHttp('A key class', (start) => {
  @Controller()
  class TenantController {
    @Get()
    @RateLimit('2/minute', { key: TenantResolver })
    get() {
      return '';
    }
  }

  it('selects the identity, with its injected dependencies', async () => {
    const module = limited([TenantController]);
    const app = await start({ ...module, providers: [TenantResolver, Tenants] });
    expect(await app.statuses(3, '/', user('ann'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/', user('bob'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, 'tenant of ann')).remaining).toBe(0);
  });

  it('can be the key of the module, and be provided in any module', async () => {
    class ElsewhereModule {}
    const module = limited([PlainController], { key: TenantResolver });
    const app = await start({
      ...module,
      imports: [...(module.imports ?? []), { module: ElsewhereModule, providers: [TenantResolver, Tenants] }],
    });
    expect(await app.statuses(3, '/', user('ann'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/', user('bob'))).toEqual([200]);
  });

  it('is called once per request, for any number of policies', async () => {
    let calls = 0;
    @Injectable()
    class CountingResolver implements IdentityResolver {
      resolve(): string {
        calls++;
        return 'all';
      }
    }
    @Controller()
    class TwiceController {
      @Get()
      @RateLimit('9/minute', { name: 'a', key: CountingResolver })
      @RateLimit('9/minute', { name: 'b', key: CountingResolver })
      get() {
        return '';
      }
    }
    const app = await start({ ...limited([TwiceController]), providers: [CountingResolver] });
    await app.statuses(2, '/');
    expect(calls).toBe(2);
  });

  it('can be overridden like any provider', async () => {
    const app = await start(
      { ...limited([TenantController]), providers: [TenantResolver, Tenants] },
      {
        override: (builder) =>
          builder.overrideProvider(TenantResolver).useValue({ resolve: () => 'everybody' }),
      },
    );
    expect((await app.get('/', user('ann'))).status).toBe(200);
    expect(await app.statuses(2, '/', user('bob'))).toEqual([200, 429]);
  });

  it('can have its method as a property', async () => {
    @Injectable()
    class PropertyResolver implements IdentityResolver {
      readonly resolve = (context: ExecutionContext): string | undefined => userOf(context);
    }
    const app = await start({
      ...limited([PlainController], { key: PropertyResolver }),
      providers: [PropertyResolver],
    });
    expect(await app.statuses(3, '/', user('ann'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/', user('bob'))).toEqual([200]);
  });

  it('can be an abstract class with another provider', async () => {
    abstract class AbstractResolver implements IdentityResolver {
      abstract resolve(context: ExecutionContext): string | undefined;
    }
    @Injectable()
    class ConcreteResolver extends AbstractResolver {
      override resolve(context: ExecutionContext): string | undefined {
        return userOf(context);
      }
    }
    const app = await start({
      ...limited([PlainController], { key: AbstractResolver as Type<IdentityResolver> }),
      providers: [{ provide: AbstractResolver, useClass: ConcreteResolver }],
    });
    expect(await app.statuses(3, '/', user('ann'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/', user('bob'))).toEqual([200]);
  });

  it('without the method stops the start', async () => {
    @Injectable()
    class MisspeltResolver {
      resovle(): string {
        return '';
      }
    }
    const key = MisspeltResolver as unknown as Type<IdentityResolver>;
    await expect(
      start({ ...limited([PlainController], { key }), providers: [MisspeltResolver] }),
    ).rejects.toThrow(
      'RateLimitModule: the key MisspeltResolver has no method "resolve". Implement IdentityResolver.',
    );
  });

  it('that is not a provider stops the start', async () => {
    await expect(start(limited([TenantController]))).rejects.toThrow(
      '@RateLimit on TenantController.get: the key TenantResolver is not a provider. Add it to the providers of a module.',
    );
    await expect(start(limited([PlainController], { key: TenantResolver }))).rejects.toThrow(
      'RateLimitModule: the key TenantResolver is not a provider.',
    );
  });

  @Injectable({ scope: Scope.REQUEST })
  class RequestScoped implements IdentityResolver {
    resolve(): string {
      return '';
    }
  }
  @Injectable({ scope: Scope.TRANSIENT })
  class Transient extends RequestScoped {}
  @Injectable()
  class Dependent extends RequestScoped {
    constructor(@Inject(REQUEST) readonly request: object) {
      super();
    }
  }
  @Injectable()
  class DependentOnDependent extends RequestScoped {
    constructor(@Inject(Dependent) readonly dependent: Dependent) {
      super();
    }
  }

  it.each([RequestScoped, Transient, Dependent, DependentOnDependent])(
    'that is request-scoped or transient stops the start: %p',
    async (key) => {
      @Controller()
      class ScopedController {
        @Get()
        @RateLimit('2/minute', { key })
        get() {
          return '';
        }
      }
      const providers = [RequestScoped, Transient, Dependent, DependentOnDependent];
      await expect(start({ ...limited([ScopedController]), providers })).rejects.toThrow(
        `@RateLimit on ScopedController.get: the key ${key.name} is request-scoped or transient. Policies are compiled once, before ` +
          'any request, so it must be a singleton: remove the scope (also of what it injects) and read the request from the context it is given.',
      );
    },
  );
});
