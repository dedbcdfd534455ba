import type { AddressInfo, Server } from 'node:net';
import type { INestApplication, INestMicroservice } from '@nestjs/common';
import {
  ClientProxyFactory,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { lastValueFrom } from 'rxjs';
import { io, type Socket } from 'socket.io-client';
import { CalculatorModule } from '../src/calculator.module';
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

describe('a microservice', () => {
  let service: INestMicroservice;
  let client: ClientProxy;
  beforeAll(async () => {
    const testingModule = await Test.createTestingModule({ imports: [CalculatorModule] }).compile();
    service = testingModule.createNestMicroservice<MicroserviceOptions>({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: 0 },
    });
    await service.listen();
    const { port } = service.unwrap<Server>().address() as AddressInfo;
    client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
  });
  afterAll(async () => {
    await client.close();
    await service.close();
  });

  it('refuses excess messages', async () => {
    const sum = (): Promise<number> => lastValueFrom(client.send<number>('sum', [1, 2]));
    for (let message = 0; message < 3; message++) expect(await sum()).toBe(3);
    await expect(sum()).rejects.toEqual(refusal('default', 3));
  });
});
