import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards, type Type } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway, type OnGatewayDisconnect } from '@nestjs/websockets';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  throttlerCompatible,
  type RateLimitEvent,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { Observable, Subject } from 'rxjs';
import type { SettingsStore, StoredSettings } from '../../../lib/core/settings-store.js';
import { Gate } from '../../support/gate.js';
import { everybody } from '../../support/held-work.js';
import { describeOverHttp, limited, type HttpReply } from '../../support/http-app.js';
import { protocols, ServedApp, until } from '../../support/http-exchange.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';
import { until as untilTrue } from '../../support/servers/server-process.js';
import { describeOverWebSockets, type WsApp } from '../../support/ws-app.js';

/** Slots of concurrent requests beside other features. */

let gate: Gate;
beforeEach(() => {
  gate = new Gate();
});
afterEach(() => gate.open());

type App = { get(token: typeof RateLimiterService): RateLimiterService };

/** Returns what each limit of a policy has left. */
async function left(nest: App, policy: string): Promise<number[]> {
  const { limits } = await nest.get(RateLimiterService).peek({ policy }, 'everybody');
  return limits.map(({ remaining }) => remaining);
}

async function becomes(nest: App, policy: string, expected: number[]): Promise<void> {
  while ((await left(nest, policy)).join() !== expected.join()) await immediate();
}

const statusOf = async (sent: readonly Promise<HttpReply>[]): Promise<number[]> =>
  (await Promise.all(sent)).map(({ status }) => status);

describeOverHttp('Slots', (start) => {
  it('beside a rate leave its block by hand to the rate', async () => {
    @Controller()
    class MixedController {
      @Get()
      @RateLimit('3/minute; 9/hour; 2 concurrent', { name: 'mixed', block: 'window', ...everybody })
      mixed() {
        return '';
      }

      @Get('slots')
      @RateLimit('2 concurrent', { name: 'slots', ...everybody })
      slots() {
        return '';
      }
    }
    const clock = new ManualClock();
    const app = await start(limited([MixedController], {}, clock));
    const limiter = app.nest.get(RateLimiterService);
    await limiter.block({ policy: 'mixed' }, 'everybody');
    expect((await app.get('/')).headers.get('retry-after')).toBe('3600');
    await limiter.unblock({ policy: 'mixed' }, 'everybody');
    await limiter.block({ policy: 'mixed' }, 'everybody', '30 minutes'); // longer than that of 3/minute
    expect((await app.get('/')).headers.get('retry-after')).toBe('1800');
    expect(() => limiter.block({ policy: 'mixed' }, 'everybody', '2 hours')).toThrow(
      'The policy "mixed" blocks for 1 hour at most; got the string "2 hours".',
    );
    expect(() => limiter.block({ policy: 'slots' }, 'everybody')).toThrow(
      'The policy "slots" blocks nobody.',
    );
    expect(await left(app.nest, 'mixed')).toEqual([3, 0, 2]);
  });

  it('in shadow refuse nothing, hold what they admit, and are told as refusals', async () => {
    @Controller()
    class ShadowController {
      @Get()
      @RateLimit('1 concurrent', { name: 'slots', mode: 'shadow', ...everybody })
      work() {
        return gate.pass();
      }
    }
    const app = await start(limited([ShadowController]));
    const events: RateLimitEvent[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event) => events.push(event));
    const sent = [app.get('/'), app.get('/')];
    await until(() => gate.waiting === 2);
    expect(await left(app.nest, 'slots')).toEqual([0]);
    gate.open();
    expect(await statusOf(sent)).toEqual([200, 200]);
    await becomes(app.nest, 'slots', [1]);
    expect(
      events.map((event) => [event.type, 'decision' in event && event.decision.limits[0]?.allowed]),
    ).toEqual([
      ['decision', true],
      ['decision', false],
      ['settled', false],
    ]);
  });

  it('are held by the plan that was found in each phase, and released once', async () => {
    let plan = 'free';
    @Controller()
    class PlansController {
      @Get()
      @UseGuards({ canActivate: () => (plan = 'pro') === 'pro' }, RateLimitGuard)
      @RateLimit({ free: '1/minute; 2 concurrent', pro: '9/minute' }, { name: 'early', ...everybody })
      @RateLimit(
        { free: '0/minute', pro: '1 concurrent' },
        { name: 'late', phase: 'afterAuth', ...everybody },
      )
      work() {
        return gate.pass();
      }
    }
    const app = await start(limited([PlansController], { plan: () => plan }));
    const sent = app.get('/');
    await until(() => gate.waiting === 1);
    const limiter = app.nest.get(RateLimiterService);
    const late = async () => (await limiter.peek({ policy: 'late', plan: 'pro' }, 'everybody')).remaining;
    const early = async () =>
      (await limiter.peek({ policy: 'early', plan: 'free' }, 'everybody')).limits.map(
        ({ remaining }) => remaining,
      );
    expect([await early(), await late()]).toEqual([[0, 1], 0]);
    gate.open();
    expect((await sent).status).toBe(200);
    while ((await late()) === 0) await immediate();
    expect(await early()).toEqual([0, 2]);
  });

  it('are refused without a time in every form of the answer', async () => {
    @Controller()
    class MixedController {
      @Get()
      @RateLimit('5/minute; 1 concurrent', { name: 'mixed', ...everybody })
      work() {
        return gate.pass();
      }
    }
    const app = await start(limited([MixedController], throttlerCompatible()));
    const sent = app.get('/');
    await until(() => gate.waiting === 1);
    const refused = await app.get('/');
    expect([refused.status, refused.body, refused.fields]).toEqual([
      429,
      { statusCode: 429, message: 'ThrottlerException: Too Many Requests' },
      {
        'x-ratelimit-limit-mixed-minute': '5',
        'x-ratelimit-remaining-mixed-minute': '4',
        'x-ratelimit-reset-mixed-minute': '60',
      },
    ]);
    gate.open();
    expect((await sent).fields).toEqual(refused.fields);
  });

  it('of a function are shared with acquire, whichever amount it returns', async () => {
    let amount = 2;
    @Controller()
    class FunctionController {
      @Get()
      @RateLimit(() => `${amount} concurrent; 9/minute`, { name: 'found', ...everybody })
      work() {
        return gate.pass();
      }
    }
    const app = await start(limited([FunctionController]));
    const limiter = app.nest.get(RateLimiterService);
    const slot = await limiter.acquire({ policy: 'found', limits: '2 concurrent' }, ['everybody']);
    amount = 1;
    expect((await app.get('/')).remaining).toBe('"found/concurrent";r=0, "found/minute";r=9');
    await slot.release();
    const sent = app.get('/');
    await until(() => gate.waiting === 1);
    gate.open();
    expect((await sent).remaining).toBe('"found/concurrent";r=0, "found/minute";r=8');
  });

  it('that are held while rules are replaced count under the new ones, and are released once', async () => {
    @Controller()
    class RuledController {
      @Get()
      work() {
        return gate.pass();
      }
    }
    const rule = (limits: string): RateLimitRule => ({ id: 'rule', path: '/', limits, ...everybody });
    const app = await start(limited([RuledController], { rules: [rule('2 concurrent')] }));
    const limiter = app.nest.get(RateLimiterService);
    const sent = [app.get('/'), app.get('/')];
    await until(() => gate.waiting === 2);
    await limiter.setRules([rule('1 concurrent')]);
    expect([await left(app.nest, 'rule'), (await app.get('/')).status]).toEqual([[0], 429]);
    await limiter.setRules([]);
    await limiter.setRules([rule('3 concurrent; 9/minute')]);
    expect(await left(app.nest, 'rule')).toEqual([1, 9]);
    gate.open();
    expect(await statusOf(sent)).toEqual([200, 200]);
    await becomes(app.nest, 'rule', [3, 9]);
  });

  it('of two rules that share a count are those of the stricter one, and wait only if both do', async () => {
    @Controller()
    class SharedController {
      @Get()
      work() {
        return gate.pass();
      }
    }
    const shared = { name: 'shared', scope: 'shared', path: '/', continue: true, ...everybody };
    const rules: RateLimitRule[] = [
      { id: 'two', limits: '2 concurrent', hold: '10 seconds', ...shared },
      { id: 'three', limits: '3 concurrent', wait: '1 minute', ...shared },
    ];
    const app = await start(limited([SharedController], { rules }));
    const sent = [app.get('/'), app.get('/')];
    await until(() => gate.waiting === 2);
    expect((await app.get('/')).remaining).toBe('"shared";r=0');
    gate.open();
    expect(await statusOf(sent)).toEqual([200, 200]);
  });
});

describeOverHttp('Slots and outcomes while the store is down', (start) => {
  @Controller()
  class LoginController {
    @Get()
    @RateLimit('5/minute; 2 concurrent', { name: 'login', count: 'failure', ...everybody })
    login() {
      return gate.pass();
    }
  }

  async function open() {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    const resilience = {
      probeInterval: 20,
      failureThreshold: 1,
      denialCache: false,
      startWithoutStore: false,
    };
    const app = await start(limited([LoginController], { storage, resilience }));
    return {
      app,
      down() {
        storage.check = async () => false;
        server.interfere = () => {
          throw new Error('connection lost');
        };
      },
      async up() {
        storage.check = async () => true;
        server.interfere = () => undefined;
        await untilTrue(() => app.log.infos.includes('MapCasStorage is back.'), 'the store to be back');
      },
    };
  }

  it('are settled once it is back, where it had counted them', async () => {
    const { app, down, up } = await open();
    const sent = [app.get('/'), app.get('/')];
    await until(() => gate.waiting === 2);
    down();
    expect((await app.get('/')).remaining).toBe('"login/minute";r=5, "login/concurrent";r=0');
    gate.open();
    expect(await statusOf(sent)).toEqual([200, 200]);
    await up();
    await becomes(app.nest, 'login', [5, 2]);
  });

  it('are settled in this process where it had counted them, and its slots also with the store', async () => {
    const { app, down, up } = await open();
    down();
    const sent = [app.get('/'), app.get('/')];
    await until(() => gate.waiting === 2);
    expect((await app.get('/')).remaining).toBe('"login/minute";r=3, "login/concurrent";r=0');
    await up();
    await becomes(app.nest, 'login', [5, 0]);
    gate.open();
    expect(await statusOf(sent)).toEqual([200, 200]);
    await becomes(app.nest, 'login', [5, 2]);
    down();
    expect((await app.get('/nothing')).status).toBe(404);
    const last = app.get('/');
    await until(() => gate.waiting === 1);
    gate.open();
    expect((await last).remaining).toBe('"login/minute";r=4, "login/concurrent";r=1');
  });
});

/** Settings in this process, for a storage whose rules are shared. */
class SharingStorage extends MemoryStorage {
  stored: StoredSettings | undefined;

  override get settings(): SettingsStore {
    return {
      read: async () => this.stored,
      write: async (settings) => {
        this.stored = settings;
        return true;
      },
    };
  }
}

describe.each(protocols)('Slots of a rule that comes later, on $name', (protocol) => {
  @Controller()
  class RuledController {
    @Get()
    work() {
      return gate.pass();
    }
  }

  const rule = { id: 'late', path: '/', limits: '1 concurrent', key: 'ip' as const };
  const freeSlots = async (app: ServedApp): Promise<number> =>
    (await app.nest.get(RateLimiterService).peek({ policy: 'late' }, '127.0.0.1')).remaining;

  it('are held while the handler runs where rules are shared', async () => {
    const options = { storage: new SharingStorage(), settings: { shared: true } };
    const app = await ServedApp.start(protocol, limited([RuledController], options));
    try {
      await app.nest.get(RateLimiterService).setRules([rule], { everywhere: true, version: 0 });
      const sent = app.client.send('/');
      await until(() => gate.waiting === 1);
      sent.reset();
      await app.untilClosed(1);
      expect(await freeSlots(app)).toBe(0);
      gate.open();
      while ((await freeSlots(app)) === 0) await immediate();
      expect(app.log.warnings).toEqual([]);
    } finally {
      await app.close();
    }
  });

  it('are held until the response elsewhere, which is warned of once', async () => {
    const app = await ServedApp.start(protocol, limited([RuledController]));
    try {
      const limiter = app.nest.get(RateLimiterService);
      await limiter.setRules([rule]);
      await limiter.setRules([rule]);
      expect(app.log.warnings).toEqual([
        'The rule "late" limits concurrent requests, and no rule did when the application was created: its slots are released with the ' +
          'response, even if the handler still runs. Give the module a rule with such a limit, or the option settings: { shared: true }.',
      ]);
    } finally {
      await app.close();
    }
  });
});

describeOverWebSockets('The slot of a message whose client leaves', (start) => {
  const results = new Subject<object>();

  let gone = 0;

  @WebSocketGateway()
  class ExportGateway implements OnGatewayDisconnect {
    handleDisconnect() {
      gone++;
    }

    @SubscribeMessage('export')
    @RateLimit('1 concurrent', { name: 'export', hold: '30 days', ...everybody }) // longer than a timer can wait
    async export() {
      await gate.pass();
      return { event: 'answer', data: 'done' };
    }

    @SubscribeMessage('short')
    @RateLimit('1 concurrent', { name: 'short', hold: '1 second', ...everybody })
    short() {
      return gate.pass();
    }

    @SubscribeMessage('stream')
    @RateLimit('1 concurrent', { name: 'stream', hold: '30 seconds', ...everybody })
    stream(): Observable<object> {
      void gate.pass();
      return results;
    }
  }

  it('is free at once if the handler has not begun, which then never does', async () => {
    let begun = 0;
    @WebSocketGateway()
    class GuardedGateway extends ExportGateway {
      @SubscribeMessage('guarded')
      @UseGuards({ canActivate: async () => (await gate.pass(), true) })
      @RateLimit('1 concurrent', { name: 'guarded', ...everybody })
      async guarded() {
        begun++;
        return { event: 'answer', data: 'done' };
      }
    }
    const app = await leave('guarded', GuardedGateway);
    await becomes(app.http.nest, 'guarded', [1]);
    gate.open();
    await until(() => gate.waiting === 0);
    for (let turn = 0; turn < 20; turn++) await immediate();
    expect([begun, await left(app.http.nest, 'guarded'), app.http.log.errors]).toEqual([0, [1], []]);
  });

  /** Sends a message and closes the connection while its handler or guard runs. */
  async function leave(event: string, gateway: Type = ExportGateway): Promise<WsApp> {
    const app = await start([gateway]);
    const client = await app.connect();
    client.send(event);
    await until(() => gate.waiting === 1);
    gone = 0;
    client.close();
    await until(() => gone === 1);
    return app;
  }

  it('is held until the handler has ended', async () => {
    const app = await leave('export');
    const other = await app.connect();
    expect(await other.outcomes(2, 'export')).toEqual(['refused', 'refused']);
    gate.open();
    await becomes(app.http.nest, 'export', [1]);
    expect(app.http.log.errors).toEqual([]);
  });

  it('is free after its hold if the handler goes on', async () => {
    const app = await leave('short');
    await becomes(app.http.nest, 'short', [1]);
    expect(gate.waiting).toBe(1);
  });

  it('is free at once if the handler is declared to return an observable, which ends', async () => {
    const app = await leave('stream');
    await becomes(app.http.nest, 'stream', [1]);
    expect(results.observed).toBe(false);
  });
});
