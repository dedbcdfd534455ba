import { afterEach, describe } from '@jest/globals';
import type { INestApplication, LoggerService, LogLevel, ModuleMetadata, Type } from '@nestjs/common';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { MemoryStorage, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The HTTP platforms of Nest. The tests expect the same of both. */
export const platforms = ['express', 'fastify'] as const;
export type Platform = (typeof platforms)[number];

export interface HttpAppOptions {
  /**
   * True to take the client's address from X-Forwarded-For of a proxy on this machine. Default:
   * false.
   */
  trustProxy?: boolean;
  /** Largest body of a request, in bytes. Default: that of the platform. */
  bodyLimit?: number;
  /** False for an application that parses no bodies. Default: true. */
  bodyParser?: boolean;
  /** Prepares the application before it listens: versioning, filters, … */
  configure?: (app: INestApplication) => void;
  /** Overrides providers before the module is compiled. */
  override?: (builder: TestingModuleBuilder) => TestingModuleBuilder;
}

/** Starts an application. It is closed after the test. */
export type StartHttpApp = (metadata: ModuleMetadata, options?: HttpAppOptions) => Promise<HttpApp>;

/** Returns a module whose controllers are limited in memory, by a manual clock. */
export function limited(
  controllers: Type[],
  options: RateLimitModuleOptions = {},
  clock = new ManualClock(),
): ModuleMetadata {
  return {
    imports: [RateLimitModule.forRoot({ storage: new MemoryStorage({ clock }), ...options })],
    controllers,
  };
}

/** Describes a subject once per platform. */
export function describeOverHttp(
  subject: string,
  define: (start: StartHttpApp, platform: Platform) => void,
): void {
  describe.each(platforms)(`${subject}, over %s`, (platform) => {
    const running: HttpApp[] = [];
    afterEach(async () => {
      await Promise.all(running.splice(0).map((app) => app.close()));
    });

    define(async (metadata, options) => {
      const app = await startHttpApp(platform, metadata, options);
      running.push(app);
      return app;
    }, platform);
  });
}

/** Starts an application of the given module on a free port. */
export async function startHttpApp(
  platform: Platform,
  metadata: ModuleMetadata,
  {
    trustProxy = false,
    bodyLimit,
    bodyParser = true,
    configure,
    override = (builder) => builder,
  }: HttpAppOptions = {},
): Promise<HttpApp> {
  const log = new RecordingLogger();
  const module = await override(Test.createTestingModule(metadata).setLogger(log)).compile();
  const app = module.createNestApplication(
    platform === 'fastify'
      ? new FastifyAdapter({
          forceCloseConnections: true,
          trustProxy: trustProxy ? '127.0.0.1' : false,
          ...(bodyLimit === undefined ? {} : { bodyLimit }),
        })
      : new ExpressAdapter(),
    { bodyParser },
  );
  if (platform === 'express' && trustProxy) (app as NestExpressApplication).set('trust proxy', 1);
  if (platform === 'express' && bodyLimit !== undefined)
    (app as NestExpressApplication).useBodyParser('json', { limit: bodyLimit });
  configure?.(app);
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close();
    throw error;
  }
  return new HttpApp(app, log);
}

/** A listening application and a client of it. */
export class HttpApp {
  readonly #url: string;

  constructor(
    readonly nest: INestApplication,
    readonly log: RecordingLogger,
  ) {
    const server = nest.getHttpServer() as Server;
    // A test on a busy machine may pause longer than the keep-alive of a server, and then use a
    // connection that is closing.
    server.keepAliveTimeout = 0;
    this.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<HttpReply> {
    return this.request('GET', path, headers);
  }

  post(path: string, headers: Record<string, string> = {}): Promise<HttpReply> {
    return this.request('POST', path, headers);
  }

  async request(method: string, path: string, headers: Record<string, string> = {}): Promise<HttpReply> {
    const response = await fetch(this.#url + path, { method, headers });
    return new HttpReply(response.status, response.headers, await response.text());
  }

  /** Sends requests one after the other. Returns their statuses. */
  async statuses(count: number, path: string, headers: Record<string, string> = {}): Promise<number[]> {
    const statuses: number[] = [];
    for (let request = 0; request < count; request++) statuses.push((await this.get(path, headers)).status);
    return statuses;
  }

  close(): Promise<void> {
    return this.nest.close();
  }
}

export class HttpReply {
  constructor(
    readonly status: number,
    readonly headers: Headers,
    readonly text: string,
  ) {}

  get body(): unknown {
    return JSON.parse(this.text);
  }

  /** Returns the header fields of the library in a response. */
  get fields(): Record<string, string> {
    const isOurs = (name: string): boolean => /^(x-)?ratelimit|^retry-after$/.test(name);
    return Object.fromEntries([...this.headers].filter(([name]) => isOurs(name)));
  }

  /** Returns the value of `RateLimit` without the times: `"default";r=4`. */
  get remaining(): string | null {
    return this.headers.get('ratelimit')?.replaceAll(/;t=\d+/g, '') ?? null;
  }
}

/** Records the log of the application. */
export class RecordingLogger implements LoggerService {
  /** Warnings and errors. */
  readonly entries: { level: LogLevel; message: unknown }[] = [];
  readonly infos: unknown[] = [];

  debug = (): void => undefined;
  verbose = (): void => undefined;

  log(message: unknown): void {
    this.infos.push(message);
  }

  warn(message: unknown): void {
    this.entries.push({ level: 'warn', message });
  }

  error(message: unknown): void {
    this.entries.push({ level: 'error', message });
  }

  get warnings(): unknown[] {
    return this.#of('warn');
  }

  get errors(): unknown[] {
    return this.#of('error');
  }

  #of(level: LogLevel): unknown[] {
    return this.entries.filter((entry) => entry.level === level).map((entry) => entry.message);
  }
}
