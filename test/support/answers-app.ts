import {
  Catch,
  Controller,
  Get,
  Head,
  HttpCode,
  HttpException,
  Injectable,
  Module,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD, HttpAdapterHost } from '@nestjs/core';
import type { RequestOutcome } from 'nestjs-limits';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { concat, NEVER, of, type Observable } from 'rxjs';
import { onHttpAnswer } from '../../lib/nest/transports/http-answer.js';
import { httpTransport } from '../../lib/nest/transports/http.transport.js';

/** A promise that the test resolves. */
class Signal {
  raise: () => void = () => undefined;
  readonly raised = new Promise<void>((resolve) => {
    this.raise = resolve;
  });
}

/** The steps of one test, and the reported outcomes. */
export class Stage {
  /** Resolves when a handler, or a filter that responds in its place, is running. */
  readonly started = new Signal();
  /** The promise that the handler awaits. */
  readonly gate = new Signal();
  /** By the path of the request. */
  readonly toldToMiddleware: [path: string, outcome: RequestOutcome][] = [];
  readonly toldToGuard: [path: string, outcome: RequestOutcome][] = [];
  /** The calls of the guard. */
  readonly guarded: ExecutionContext[] = [];

  async wait(): Promise<void> {
    this.started.raise();
    await this.gate.raised;
  }
}

/** The stage of the running test. */
export let stage = new Stage();

export function resetStage(): void {
  stage = new Stage();
}

interface AnyReply {
  readonly raw?: ServerResponse;
  hijack?(): void;
}

/** Takes control of a response from Fastify. */
function rawOf(response: AnyReply): ServerResponse {
  response.hijack?.();
  return response.raw ?? (response as ServerResponse);
}

@Catch()
class LateFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  async catch(_error: unknown, host: ArgumentsHost): Promise<void> {
    await stage.wait();
    this.host.httpAdapter.reply(host.getArgByIndex<object>(1), 'late', 422);
  }
}

@Injectable()
class AnswerGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { url = '' } = httpTransport.requestOf(context);
    stage.guarded.push(context);
    httpTransport.onAnswer(context, (outcome) => stage.toldToGuard.push([url, outcome]));
    return true;
  }
}

@Controller()
class AnswersController {
  @Get('ok')
  ok() {
    return 'ok';
  }

  @Head('head')
  head() {
    return undefined;
  }

  @Get('bad')
  bad() {
    throw new HttpException('bad', 400);
  }

  @Get('broken')
  broken() {
    throw new Error('broken');
  }

  @Get('no-content')
  @HttpCode(204)
  noContent() {
    return undefined;
  }

  @Get('not-modified')
  @HttpCode(304)
  notModified() {
    return undefined;
  }

  @Get(['slow', 'timeout'])
  async slow() {
    await stage.wait();
    return 'slow';
  }

  @Get('never')
  never() {
    stage.started.raise();
    return new Signal().raised;
  }

  @Sse('events')
  events(): Observable<{ data: string }> {
    return concat(of({ data: 'one' }), NEVER);
  }

  @Sse('event')
  event(): Observable<{ data: string }> {
    return of({ data: 'one' });
  }

  @Get('file')
  file() {
    return new StreamableFile(endless());
  }

  @Get('chunks')
  chunks(@Res() response: AnyReply) {
    const raw = rawOf(response);
    raw.statusCode = 203;
    raw.write('one');
  }

  @Get('early-failure')
  earlyFailure(@Res() response: AnyReply) {
    const raw = rawOf(response);
    raw.statusCode = 500;
    raw.flushHeaders();
    raw.write('one');
  }

  @Get('upgrade')
  upgrade(@Res() response: AnyReply) {
    rawOf(response).writeHead(101, { Connection: 'Upgrade', Upgrade: 'echo' }).end();
  }

  @Get('late-filter')
  @UseFilters(LateFilter)
  lateFilter() {
    throw new Error('late');
  }
}

@Module({
  controllers: [AnswersController],
  providers: [{ provide: APP_GUARD, useClass: AnswerGuard }],
})
export class AnswersModule {}

/** A stream that sends one part and then stays open. */
function endless(): Readable {
  const parts = ['one'];
  return new Readable({
    read() {
      const part = parts.shift();
      if (part !== undefined) this.push(part);
    },
  });
}

/** Listens before the guard does, and responds to some requests itself. */
export function middleware(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const { url = '' } = request;
  onHttpAnswer(response, (outcome) => stage.toldToMiddleware.push([url, outcome]));
  if (url === '/early') {
    response.statusCode = 418;
    response.end();
    return;
  }
  if (url === '/timeout')
    void stage.started.raised.then(() => {
      response.statusCode = 503;
      response.end();
    });
  next();
}
