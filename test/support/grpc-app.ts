import { join } from 'node:path';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Type } from '@nestjs/common';
import { Transport } from '@nestjs/microservices';
import { startRpcApp, type RpcApp, type RpcAppOptions } from './rpc-app.js';
import { freePort } from './servers/server-process.js';

const PROTO = join(process.cwd(), 'test/support/protos/echo.proto');

interface Text {
  text: string;
}
type Callback = (error: ServiceError | null, reply?: Text) => void;

/** The client that grpc-js makes of the service in echo.proto. */
interface EchoService extends Client {
  Say(text: Text, metadata: Metadata, callback: Callback): ClientUnaryCall;
  Repeat(text: Text): ClientReadableStream<Text>;
  Join(callback: Callback): ClientWritableStream<Text>;
  Chat(): ClientDuplexStream<Text, Text>;
  RawJoin(callback: Callback): ClientWritableStream<Text>;
  RawChat(): ClientDuplexStream<Text, Text>;
}

/** The texts of a reply, or the code of the error with what it says. */
export type GrpcOutcome = readonly string[] | GrpcError;

export interface GrpcError {
  readonly code: number;
  readonly details: string;
  readonly retryAfter: unknown;
}

export type GrpcMethodName = 'Say' | 'Repeat' | 'Join' | 'Chat' | 'RawJoin' | 'RawChat';

/** A call that is not over. */
interface OpenCall {
  readonly outcome: Promise<GrpcOutcome>;
  /** Ends the stream of requests. */
  end(): void;
  cancel(): void;
}

type OpenStream = Pick<ClientDuplexStream<Text, Text>, 'write' | 'end' | 'cancel' | 'on'>;

/** A microservice over gRPC. */
export interface GrpcApp {
  readonly app: RpcApp;
  readonly port: number;
  /** @param port of a proxy. Default: that of the microservice */
  connect(port?: number): GrpcClient;
  close(): Promise<void>;
}

/** Starts a microservice over gRPC that serves echo.proto. */
export async function startGrpcApp(
  controllers: Type[],
  { host = '127.0.0.1', ...options }: RpcAppOptions & { host?: string } = {},
): Promise<GrpcApp> {
  const ownPort = await freePort();
  const url = `${host}:${ownPort}`;
  const app = await startRpcApp(controllers, {
    transport: { transport: Transport.GRPC, options: { package: 'echo', protoPath: PROTO, url } },
    ...options,
  });
  const clients: GrpcClient[] = [];
  return {
    app,
    port: ownPort,
    connect: (port = ownPort) => {
      const client = new GrpcClient(`${host}:${port}`);
      clients.push(client);
      return client;
    },
    close: async () => {
      for (const client of clients) client.close();
      await app.close();
    },
  };
}

export class GrpcClient {
  readonly #service: EchoService;

  constructor(url: string) {
    const { echo } = loadPackageDefinition(loadSync(PROTO)) as unknown as {
      echo: { Echo: new (url: string, credentials: object) => EchoService };
    };
    this.#service = new echo.Echo(url, credentials.createInsecure());
  }

  close(): void {
    this.#service.close();
  }

  /** Starts a call that can be cancelled. */
  start(text: string): { readonly outcome: Promise<GrpcOutcome>; cancel(): void } {
    let cancel = (): void => undefined;
    const outcome = outcomeOf((callback) => {
      const call = this.#service.Say({ text }, new Metadata(), callback);
      cancel = () => call.cancel();
    });
    return { outcome, cancel: () => cancel() };
  }

  say(text: string, headers: Record<string, string> = {}): Promise<GrpcOutcome> {
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
    return outcomeOf((callback) => this.#service.Say({ text }, metadata, callback));
  }

  /** @param most texts after which the call is cancelled. Default: none */
  repeat(text: string, most = Infinity): Promise<GrpcOutcome> {
    return textsOf(this.#service.Repeat({ text }), most);
  }

  /**
   * Starts a call of any kind that goes on until the test ends it.
   *
   * @param deadline ms after which the client gives up. Default: never
   */
  open(method: GrpcMethodName, deadline = Infinity): OpenCall {
    const options = { deadline: deadline === Infinity ? Infinity : Date.now() + deadline };
    const metadata = new Metadata();
    const service = this.#service as unknown as Record<GrpcMethodName, (...args: unknown[]) => OpenStream>;
    const requests = method === 'Say' || method === 'Repeat' ? [{ text: 'a' }] : [];
    const hasCallback = method === 'Say' || method === 'Join' || method === 'RawJoin';
    let call!: OpenStream;
    const outcome = new Promise<GrpcOutcome>((resolve) => {
      const callback: Callback = (error, reply) =>
        resolve(error === null ? [reply?.text ?? ''] : described(error));
      call = service[method](...requests, metadata, options, ...(hasCallback ? [callback] : []));
      if (!hasCallback) void textsOf(call as unknown as ClientReadableStream<Text>).then(resolve);
      call.on('error', () => undefined);
    });
    if (requests.length === 0) call.write({ text: 'a' });
    return { outcome, end: () => call.end(), cancel: () => call.cancel() };
  }

  join(method: 'Join' | 'RawJoin', ...texts: string[]): Promise<GrpcOutcome> {
    return outcomeOf((callback) => send(this.#service[method](callback), texts));
  }

  chat(method: 'Chat' | 'RawChat', ...texts: string[]): Promise<GrpcOutcome> {
    const stream = this.#service[method]();
    send(stream, texts);
    return textsOf(stream);
  }
}

function send(stream: ClientWritableStream<Text> | ClientDuplexStream<Text, Text>, texts: string[]): void {
  for (const text of texts) stream.write({ text });
  stream.end();
}

function outcomeOf(call: (callback: Callback) => unknown): Promise<GrpcOutcome> {
  return new Promise((resolve) => {
    call((error, reply) => resolve(error === null ? [reply?.text ?? ''] : described(error)));
  });
}

function textsOf(stream: ClientReadableStream<Text>, most = Infinity): Promise<GrpcOutcome> {
  return new Promise((resolve) => {
    const texts: string[] = [];
    stream.on('data', ({ text }: Text) => {
      if (texts.push(text) === most) stream.cancel();
    });
    stream.on('error', (error: ServiceError) => resolve(texts.length === most ? texts : described(error)));
    stream.on('end', () => resolve(texts));
  });
}

function described({ code, details, metadata }: ServiceError): GrpcError {
  return { code, details, retryAfter: metadata.get('retry-after')[0] };
}
