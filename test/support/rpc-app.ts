import type { Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { INestApplication, INestMicroservice, ModuleMetadata, Type } from '@nestjs/common';
import {
  ClientProxyFactory,
  JsonSocket,
  Transport,
  type ClientOptions,
  type ClientProxy,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { MemoryStorage, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { lastValueFrom } from 'rxjs';
import { RecordingLogger } from './http-app.js';

export interface RpcAppOptions {
  /** Options of the library's module. */
  limits?: RateLimitModuleOptions & { guard?: boolean };
  clock?: ManualClock;
  /** More metadata of the application's module. */
  module?: ModuleMetadata;
  /**
   * Also starts HTTP; the value decides whether the microservice inherits the application's global
   * guards and filters.
   */
  hybrid?: { inheritAppConfig: boolean };
  /** The transport. Default: TCP on a free port. */
  transport?: MicroserviceOptions;
}

/** Starts a microservice with controllers. */
export async function startRpcApp(controllers: Type[], options: RpcAppOptions = {}): Promise<RpcApp> {
  const { limits = {}, clock = new ManualClock(), module = {}, hybrid, transport = TCP } = options;
  const log = new RecordingLogger();
  const testing = await Test.createTestingModule({
    ...module,
    imports: [
      RateLimitModule.forRoot({ storage: new MemoryStorage({ clock }), ...limits }),
      ...(module.imports ?? []),
    ],
    controllers,
  })
    .setLogger(log)
    .compile();
  if (hybrid === undefined) {
    const service = testing.createNestMicroservice<MicroserviceOptions>(transport);
    await service.listen();
    return new RpcApp(service, service, transport, log);
  }
  const app = testing.createNestApplication();
  const service = app.connectMicroservice<MicroserviceOptions>(transport, hybrid);
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  return new RpcApp(app, service, transport, log);
}

const TCP: MicroserviceOptions = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } };

/** A microservice, and clients of it. */
export class RpcApp {
  readonly #clients: ClientProxy[] = [];

  constructor(
    readonly nest: INestApplication | INestMicroservice,
    private readonly service: INestMicroservice,
    private readonly transport: MicroserviceOptions,
    readonly log: RecordingLogger,
  ) {}

  /**
   * @param from the address to come from, over TCP
   * @param transport the microservice to connect to. Default: the first
   */
  connect(from = '127.0.0.1', transport = this.transport): RpcClient {
    const client = ClientProxyFactory.create(
      'transport' in transport && transport.transport !== Transport.TCP
        ? clientOptions(transport)
        : { transport: Transport.TCP, options: { ...this.#address(), socketClass: socketFrom(from) } },
    );
    this.#clients.push(client);
    return new RpcClient(client);
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map(async (client) => client.close() as unknown));
    await this.nest.close();
  }

  #address(): { host: string; port: number } {
    const { port } = this.service.unwrap<Server>().address() as AddressInfo;
    return { host: '127.0.0.1', port };
  }
}

/** The options of a client for a server's. Replies of RabbitMQ come without acknowledgements. */
function clientOptions(transport: MicroserviceOptions): ClientOptions {
  const options = transport as ClientOptions;
  return options.transport === Transport.RMQ
    ? { ...options, options: { ...options.options, noAck: true } }
    : options;
}

/** Opens sockets from a local address. */
function socketFrom(localAddress: string): typeof JsonSocket {
  return class extends JsonSocket {
    override connect(port: number, host: string): this {
      this.netSocket.connect({ port, host, localAddress });
      return this;
    }
  };
}

export class RpcClient {
  constructor(private readonly client: ClientProxy) {}

  /** Returns the reply to a message, or the error. */
  async ask(pattern: unknown, data: unknown = {}): Promise<unknown> {
    try {
      return await lastValueFrom(this.client.send<unknown, unknown>(pattern, data));
    } catch (error) {
      return error;
    }
  }

  async close(): Promise<void> {
    await (this.client.close() as unknown);
  }

  async emit(pattern: unknown, data: unknown = {}): Promise<void> {
    await lastValueFrom(this.client.emit(pattern, data), { defaultValue: undefined });
  }

  /**
   * Sends a message several times, one after the other. Returns the reply, or `'refused'`, of each.
   */
  async outcomes(count: number, pattern: unknown, data?: unknown): Promise<unknown[]> {
    const outcomes: unknown[] = [];
    for (let message = 0; message < count; message++) {
      const answer = await this.ask(pattern, data);
      const { statusCode } = answer as { statusCode?: unknown };
      outcomes.push(statusCode === 429 ? 'refused' : answer);
    }
    return outcomes;
  }
}
