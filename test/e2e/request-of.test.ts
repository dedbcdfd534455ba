import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { RateLimit, requestOf, type RequestLike } from 'nestjs-limits';
import { describeOverGraphql } from '../support/graphql-app.js';
import { describeOverHttp, limited } from '../support/http-app.js';
import { startRpcApp } from '../support/rpc-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

/** The requests that a key function has found. */
let found: (RequestLike | undefined)[] = [];

const key = (context: ExecutionContext): string => {
  found.push(requestOf(context));
  return 'everyone';
};
const headers = { 'x-tenant': 'acme' };

describeOverHttp('The request of a context', (start) => {
  it('is that of the adapter', async () => {
    const given: unknown[] = [];
    @Controller()
    class PageController {
      @Get('page')
      @RateLimit('9/minute', {
        key: (context) => {
          given.push(context.switchToHttp().getRequest());
          return key(context);
        },
      })
      page() {
        return 'page';
      }
    }
    found = [];
    const app = await start(limited([PageController]));
    await fetch(`${await app.nest.getUrl()}/page`, { headers });
    expect(found[0]).toBe(given[0]);
    expect(found[0]?.headers?.['x-tenant']).toBe('acme');
  });

  it('is absent where a context says http and has none', () => {
    const context = { getType: () => 'http', getArgByIndex: () => undefined } as unknown as ExecutionContext;
    expect(requestOf(context)).toBeUndefined();
  });
});

describeOverGraphql('The request of a field', (start) => {
  it('is that which brought the operation', async () => {
    @Resolver()
    class BookResolver {
      @Query(() => String)
      @RateLimit('9/minute', { key })
      book() {
        return 'Moby-Dick';
      }
    }
    found = [];
    const app = await start([BookResolver]);
    await app.ask('{ book }', headers);
    expect(found[0]?.headers?.['x-tenant']).toBe('acme');
  });
});

describeOverWebSockets('The request of a connection', (start) => {
  it('has its headers', async () => {
    @WebSocketGateway()
    class ChatGateway {
      @RateLimit('9/minute', { key })
      handleConnection() {
        return undefined;
      }

      @SubscribeMessage('say')
      say() {
        return { event: 'answer', data: 'ok' };
      }
    }
    found = [];
    const client = await (await start([ChatGateway])).connect({ headers });
    await client.ask('say');
    expect(found[0]?.headers?.['x-tenant']).toBe('acme');
  });
});

it('A message of a microservice over TCP has no request', async () => {
  @Controller()
  class SumController {
    @MessagePattern('sum')
    @RateLimit('9/minute', { key })
    sum() {
      return 3;
    }
  }
  found = [];
  const app = await startRpcApp([SumController]);
  try {
    expect(await app.connect().ask('sum')).toBe(3);
    expect(found[0]).toBeUndefined();
    expect(found.length).toBeGreaterThan(0);
  } finally {
    await app.close();
  }
});
