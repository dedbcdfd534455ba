import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  credentials,
  loadPackageDefinition,
  type Client,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { INestMicroservice } from '@nestjs/common';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { EchoModule, type Text } from '../src/echo.module';

interface Echo extends Client {
  Say(text: Text, callback: (error: ServiceError | null, reply?: Text) => void): void;
  Chat(): ClientDuplexStream<Text, Text>;
}

const protoPath = join(__dirname, '../src/echo.proto');

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describe('a microservice over gRPC', () => {
  let service: INestMicroservice;
  let client: Echo;
  beforeAll(async () => {
    const url = `127.0.0.1:${await freePort()}`;
    const testingModule = await Test.createTestingModule({ imports: [EchoModule] }).compile();
    service = testingModule.createNestMicroservice<MicroserviceOptions>({
      transport: Transport.GRPC,
      options: { package: 'echo', protoPath, url },
    });
    await service.listen();
    const { echo } = loadPackageDefinition(loadSync(protoPath)) as unknown as {
      echo: { Echo: new (url: string, credentials: object) => Echo };
    };
    client = new echo.Echo(url, credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await service.close();
  });

  const outcome = (error: ServiceError): unknown[] => [error.code, error.metadata.get('retry-after').length];

  it('refuses excess calls with RESOURCE_EXHAUSTED and the time to wait', async () => {
    const say = (): Promise<unknown> =>
      new Promise((resolve) => {
        client.Say({ text: 'hi' }, (error, reply) => resolve(error === null ? reply : outcome(error)));
      });
    expect([await say(), await say(), await say()]).toEqual([{ text: 'hi' }, { text: 'hi' }, [8, 1]]);
  });

  it('refuses excess streams the same way', async () => {
    const chat = (): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = client.Chat();
        stream.on('data', resolve);
        stream.on('error', (error: ServiceError) => resolve(outcome(error)));
        stream.end({ text: 'hi' });
      });
    expect([await chat(), await chat(), await chat()]).toEqual([{ text: 'hi' }, { text: 'hi' }, [8, 1]]);
  });
});
