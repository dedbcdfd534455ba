import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { io, type Socket } from 'socket.io-client';
import { ChatModule } from '../src/chat.module';

const refusal = (name: string, amount: number): unknown => ({
  status: 'error',
  statusCode: 429,
  error: 'Too Many Requests',
  message: expect.stringContaining(`Rate limit "${name}" exceeded: ${amount} per minute.`) as string,
  limit: { name, amount, period: 60, remaining: 0 },
  retryAfter: expect.any(Number) as number,
});

describe('a gateway', () => {
  let app: INestApplication;
  beforeAll(async () => {
    const testingModule = await Test.createTestingModule({ imports: [ChatModule] }).compile();
    app = testingModule.createNestApplication();
    await app.listen(0, '127.0.0.1');
  });
  afterAll(() => app.close());

  async function connect(): Promise<Socket> {
    return io(await app.getUrl(), { transports: ['websocket'], forceNew: true, reconnection: false });
  }

  function next(socket: Socket, event: string): Promise<unknown> {
    return new Promise((resolve) => {
      socket.once(event, resolve);
    });
  }

  it('refuses excess messages and connections', async () => {
    const socket = await connect();
    for (const remaining of [2, 1, 0]) {
      socket.emit('say', 'hi');
      expect(await next(socket, 'said')).toBe(remaining);
    }
    socket.emit('say', 'hi');
    expect(await next(socket, 'exception')).toEqual(refusal('default', 3));

    const other = await connect();
    await next(other, 'connect');
    const tooMany = await connect();
    const end = next(tooMany, 'disconnect');
    expect(await next(tooMany, 'exception')).toEqual(refusal('connections', 2));
    expect(await end).toBe('io server disconnect');
    for (const open of [socket, other]) open.disconnect();
  });
});
