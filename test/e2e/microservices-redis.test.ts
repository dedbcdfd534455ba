import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, type ExecutionContext } from '@nestjs/common';
import {
  EventPattern,
  MessagePattern,
  Payload,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { startRpcApp, type RpcApp } from '../support/rpc-app.js';
import { serverUri } from '../support/servers.js';
import { until } from '../support/servers/server-process.js';

const { hostname, port } = new URL(serverUri('REDIS') ?? '');
const transport: MicroserviceOptions = {
  transport: Transport.REDIS,
  options: { host: hostname, port: Number(port) },
};

const tenantOf = (context: ExecutionContext): string =>
  context.switchToRpc().getData<{ tenant: string }>().tenant;

let app: RpcApp;
afterEach(() => app.close());

@Controller()
class RedisController {
  readonly events: unknown[] = [];

  @MessagePattern('limits.work')
  @RateLimit('3/minute', { key: tenantOf })
  work(@RateLimitInfo() decision?: Decision) {
    return { remaining: decision?.remaining };
  }

  @MessagePattern('limits.all')
  @RateLimit('2/minute')
  all() {
    return 'done';
  }

  @EventPattern('limits.event')
  @RateLimit('2/minute', { key: tenantOf })
  onEvent(@Payload() event: unknown) {
    this.events.push(event);
  }

  @MessagePattern('limits.seen')
  seen() {
    return this.events;
  }
}

describe('A microservice over Redis', () => {
  it('limits messages by their payload', async () => {
    const clock = new ManualClock();
    app = await startRpcApp([RedisController], { transport, clock });
    const client = app.connect();
    for (const tenant of ['a', 'b']) {
      for (const remaining of [2, 1, 0])
        expect(await client.ask('limits.work', { tenant })).toEqual({ remaining });
      expect(await client.ask('limits.work', { tenant })).toEqual({
        status: 'error',
        statusCode: 429,
        error: 'Too Many Requests',
        message: 'Rate limit "default" exceeded: 3 per minute. Try again in 60 s.',
        limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
        retryAfter: 60,
      });
    }
    clock.advance(60_000);
    expect(await client.ask('limits.work', { tenant: 'a' })).toEqual({ remaining: 2 });
  });

  it('counts an event apart for each of its handlers, also in Redis', async () => {
    @Controller()
    class SecondController {
      readonly seen: unknown[] = [];

      @EventPattern('limits.event')
      @RateLimit('5/minute', { key: () => 'all' })
      onEvent(@Payload() event: unknown) {
        this.seen.push(event);
      }

      @EventPattern('limits.event')
      @RateLimit('5/minute', { key: () => 'all' })
      onEventToo(@Payload() event: unknown) {
        this.seen.push(`too ${String(event)}`);
      }
    }
    const storage = serverUri('REDIS') ?? '';
    const keyPrefix = `limits-${process.pid}-${Date.now()}`;
    app = await startRpcApp([SecondController], { transport, limits: { storage, keyPrefix } });
    const client = app.connect();
    for (let event = 1; event <= 10; event++) await client.emit('limits.event', event);
    const { seen } = app.nest.get(SecondController);
    await until(() => seen.length >= 10, 'ten calls');
    const first = [1, 2, 3, 4, 5];
    expect(new Set(seen)).toEqual(new Set([...first, ...first.map((event) => `too ${event}`)]));
    expect(seen).toHaveLength(10);
  });

  it('drops excess events, and keeps running', async () => {
    app = await startRpcApp([RedisController], { transport });
    const client = app.connect();
    const events = ['a', 'a', 'a', 'b'].map((tenant, number) => ({ tenant, number }));
    for (const event of events) await client.emit('limits.event', event);
    const [first, second, , fourth] = events;
    expect(await client.ask('limits.seen')).toEqual([first, second, fourth]);
    expect(app.log.entries).toEqual([]);
  });

  it('counts all clients together if nothing distinguishes them, and warns once', async () => {
    app = await startRpcApp([RedisController], { transport });
    expect(await app.connect().outcomes(2, 'limits.all')).toEqual(['done', 'done']);
    expect(await app.connect().outcomes(2, 'limits.all')).toEqual(['refused', 'refused']);
    expect(app.log.warnings).toEqual([expect.stringContaining('A request by "rpc" has no client address')]);
  });
});
