/**
 * One of several instances of an application: a process that streams lines over HTTP under a limit of concurrent requests, and enters
 * its running handlers into a ledger that the limiter does not know.
 */
import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimit, RateLimiterService, RateLimitModule, storageFromString } from 'nestjs-limits';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StreamLedger } from './stream-ledger.js';

/** What a process is started with. */
export interface StreamServerOptions {
  readonly uri: string;
  readonly storage: Record<string, unknown>;
  /** URI of the ledger's database. */
  readonly ledger: string;
  /** A limit of concurrent requests, and its hold. */
  readonly limit: string;
  readonly hold: string;
}

const PAUSE_MS = 5;

const [, , argument = '{}'] = process.argv;
const { uri, storage, ledger: ledgerUri, limit, hold } = JSON.parse(argument) as StreamServerOptions;
const ledger = new StreamLedger(ledgerUri);

@Controller()
class StreamController {
  constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

  /** Streams a number of lines, or until the client leaves. */
  @Get('stream/:lines')
  @RateLimit(limit, { name: 'stream', key: () => 'everybody', hold })
  async stream(@Param('lines') lines: string, @Res() response: ServerResponse) {
    await ledger.begin();
    for (let line = 0; line < Number(lines) && !response.destroyed; line++) {
      response.write('line\n');
      await sleep(PAUSE_MS);
    }
    await ledger.end();
    response.end();
  }

  @Get('free')
  async free() {
    return (await this.limiter.peek({ policy: 'stream' }, 'everybody')).remaining;
  }
}

@Module({
  imports: [
    RateLimitModule.forRootAsync({
      useFactory: async () => ({ storage: await storageFromString(uri, storage), resilience: false }),
    }),
  ],
  controllers: [StreamController],
})
class StreamModule {}

const app = await NestFactory.create(StreamModule, { logger: ['error', 'warn'] });
await app.listen(0, '127.0.0.1');
const server = app.getHttpServer() as Server;
server.keepAliveTimeout = 0; // on a busy machine, a client may use a connection that is closing
process.on('disconnect', () => process.exit());
process.send?.((server.address() as AddressInfo).port);
