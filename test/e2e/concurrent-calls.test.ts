import { describe, expect, it } from '@jest/globals';
import { Controller, UseGuards, UseInterceptors, type CallHandler, type CanActivate } from '@nestjs/common';
import { Query, ResolveField, Resolver, ObjectType, Field } from '@nestjs/graphql';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { MemoryStorage, RateLimit, RateLimiterService, RateLimitGuard } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate as immediate } from 'node:timers/promises';
import { from, of, retry, type Observable } from 'rxjs';
import { describeOverGraphql } from '../support/graphql-app.js';
import { everybody, holdWork } from '../support/held-work.js';
import { until } from '../support/http-exchange.js';
import { startRpcApp } from '../support/rpc-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

const work = holdWork();

/** Refuses after the limits have counted. */
class Refusing implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

/** Returns the free slots of a policy. */
async function left(nest: { get(token: typeof RateLimiterService): RateLimiterService }, policy: string) {
  return (await nest.get(RateLimiterService).peek({ policy }, 'everybody')).remaining;
}

@WebSocketGateway()
class ExportGateway {
  @RateLimit('2 concurrent', { name: 'connections', ...everybody })
  handleConnection() {}

  @SubscribeMessage('export')
  @RateLimit('1 concurrent', { name: 'export', ...everybody })
  export() {
    return work.do({ event: 'answer', data: 'done' });
  }

  @SubscribeMessage('stream')
  @RateLimit('1 concurrent', { name: 'stream', ...everybody })
  stream(): Observable<object> {
    return from(work.do({ event: 'answer', data: 'streamed' }));
  }
}

describeOverWebSockets('A message with a limit of concurrent requests', (start) => {
  it('holds its slot until its result has come, and one too many is refused', async () => {
    const app = await start([ExportGateway]);
    const [one, two] = [await app.connect(), await app.connect()];
    one.send('export');
    await until(() => work.begun === 1);
    expect(await two.outcomes(1, 'export')).toEqual(['refused']);
    work.end();
    expect((await one.next()).data).toBe('done');
    expect(await two.outcomes(2, 'export')).toEqual(['done', 'done']);
    expect(await left(app.http.nest, 'export')).toBe(1);
  });

  it('holds its slot until its observable completes', async () => {
    const app = await start([ExportGateway]);
    const client = await app.connect();
    client.send('stream');
    await until(() => work.begun === 1);
    expect(await left(app.http.nest, 'stream')).toBe(0);
    work.end();
    expect((await client.next()).data).toBe('streamed');
    expect(await left(app.http.nest, 'stream')).toBe(1);
  });
});

describeOverWebSockets('A connection with a limit of concurrent requests', (start) => {
  it('holds its slot until it ends', async () => {
    const app = await start([ExportGateway]);
    const one = await app.connect();
    await app.connect();
    const refused = await app.connect();
    await refused.ended();
    expect(await left(app.http.nest, 'connections')).toBe(0);
    one.close();
    while ((await left(app.http.nest, 'connections')) === 0) await immediate();
    expect(await left(app.http.nest, 'connections')).toBe(1);
  });
});

describe('A message of a microservice with a limit of concurrent requests', () => {
  @Controller()
  class ExportController {
    @MessagePattern('export')
    @RateLimit('1 concurrent', { name: 'export', ...everybody })
    export() {
      return work.do('done');
    }

    @EventPattern('event')
    @RateLimit('1 concurrent', { name: 'event', ...everybody })
    event(@Payload() _data: unknown) {
      return work.do(undefined);
    }

    @MessagePattern('guarded')
    @UseGuards(Refusing)
    @RateLimit('1 concurrent', { name: 'guarded', hold: '2 seconds', ...everybody })
    guarded() {
      return 'never';
    }

    @MessagePattern('phases')
    @UseGuards(RateLimitGuard)
    @RateLimit('1 concurrent', { name: 'early', ...everybody })
    @RateLimit('0/minute', { name: 'late', phase: 'afterAuth', ...everybody })
    phases() {
      return 'never';
    }
  }

  it('holds its slot until its result has come, and one too many is refused', async () => {
    const app = await startRpcApp([ExportController]);
    const client = app.connect();
    const first = client.ask('export');
    await until(() => work.begun === 1);
    expect(await client.outcomes(1, 'export')).toEqual(['refused']);
    work.end();
    expect(await first).toBe('done');
    expect(await client.outcomes(2, 'export')).toEqual(['done', 'done']);
    await app.close();
  });

  it('holds the slot of an event until its handler has ended', async () => {
    const app = await startRpcApp([ExportController]);
    await app.connect().emit('event');
    await until(() => work.begun === 1);
    expect(await left(app.nest, 'event')).toBe(0);
    work.end();
    while ((await left(app.nest, 'event')) === 0) await immediate();
    expect(await left(app.nest, 'event')).toBe(1);
    await app.close();
  });

  it('holds a slot each time that an interceptor calls its handler, and none in between', async () => {
    const pauses: number[] = [];
    let begun = 0;
    const pause = async (): Promise<void> => {
      await immediate();
      pauses.push(await left(app.nest, 'retried'));
    };
    @Controller()
    @UseInterceptors({
      intercept: (_context: unknown, next: CallHandler) =>
        next.handle().pipe(retry({ count: 2, delay: (_error, count) => (count === 1 ? of(0) : pause()) })),
    })
    class RetriedController {
      @MessagePattern('retried')
      @RateLimit('1 concurrent', { name: 'retried', ...everybody })
      async retried() {
        if (++begun < 3) throw new Error('not yet');
        return work.do('done');
      }
    }
    const app = await startRpcApp([RetriedController]);
    const asked = app.connect().ask('retried');
    await until(() => work.begun === 1);
    expect([pauses, await left(app.nest, 'retried')]).toEqual([[1], 0]);
    work.end();
    expect(await asked).toBe('done');
    expect(await left(app.nest, 'retried')).toBe(1);
    await app.close();
  });

  it('gives its slot back when another limit refuses it, and is free after its hold if another guard does', async () => {
    const clock = new ManualClock();
    const app = await startRpcApp([ExportController], { limits: { storage: new MemoryStorage({ clock }) } });
    await app.connect().ask('phases');
    expect(await left(app.nest, 'early')).toBe(1);
    await app.connect().ask('guarded');
    clock.advance(1999);
    expect(await left(app.nest, 'guarded')).toBe(0);
    clock.advance(1);
    expect(await left(app.nest, 'guarded')).toBe(1);
    await app.close();
  });
});

@ObjectType()
class Report {
  @Field(() => String, { nullable: true })
  rows?: string;
}

@Resolver(() => Report)
class ReportResolver {
  @Query(() => Report)
  @RateLimit('1 concurrent', { name: 'report', ...everybody })
  report() {
    return {};
  }

  @ResolveField(() => String, { nullable: true })
  @RateLimit('1 concurrent', { name: 'rows', ...everybody })
  rows() {
    return work.do('many');
  }

  @Query(() => String, { nullable: true })
  @RateLimit('2 concurrent', { name: 'slow', ...everybody })
  slow() {
    return work.do('slow');
  }
}

describeOverGraphql('A field with a limit of concurrent requests', (start, server) => {
  it('holds its slot until it is resolved, and one too many is refused', async () => {
    const app = await start([ReportResolver]);
    const operation = app.ask('{ one: slow two: slow }');
    await until(() => work.begun === 2);
    expect(await app.outcomes(1, '{ slow }')).toEqual(['TOO_MANY_REQUESTS']);
    work.end();
    expect((await operation).data).toEqual({ one: 'slow', two: 'slow' });
    expect(await left(app.http.nest, 'slow')).toBe(2);
    expect(await app.outcomes(2, '{ slow }')).toEqual(['slow', 'slow']);
  });

  it('holds its slot no longer than its operation, even if no interceptor runs for it', async () => {
    const clock = new ManualClock();
    const app = await start([ReportResolver], { clock, graphql: { fieldResolverEnhancers: ['guards'] } });
    const operation = app.ask('{ report { rows } }');
    await until(() => work.begun === 1);
    expect([await left(app.http.nest, 'report'), await left(app.http.nest, 'rows')]).toEqual([1, 0]);
    work.end();
    expect((await operation).data).toEqual({ report: { rows: 'many' } });
    // Apollo on Fastify does not tell the response of an operation.
    if (server === 'Apollo on fastify') clock.advance(30_000);
    while ((await left(app.http.nest, 'rows')) === 0) await immediate();
    expect(await left(app.http.nest, 'rows')).toBe(1);
  });
});
