import {
  Controller,
  Get,
  Inject,
  Param,
  Post,
  Req,
  Res,
  UseGuards,
  VERSION_NEUTRAL,
  type Type,
} from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { SkipRateLimit } from '../decorators/skip-rate-limit.decorator.js';
import { ConsoleAccessGuard } from './console-access.guard.js';
import { ConsoleActions } from './console-actions.js';
import { ConsoleFeed } from './console-feed.js';
import { ConsoleResponse } from './console-response.js';
import type { ResolvedConsoleOptions } from './console.options.js';
import { PAGE } from './page.js';
import { jsonOf, type BodyRequest } from './request-body.js';

type Response = ConstructorParameters<typeof ConsoleResponse>[0];

/** Serves the page, its streams of events, and its actions. {@link consoleController} gives it a path and guards. */
class ConsoleController {
  constructor(
    @Inject(ConsoleFeed) private readonly feed: ConsoleFeed,
    @Inject(ConsoleActions) private readonly actions: ConsoleActions,
  ) {}

  /** The page names its files relative to its own path, so that it works behind a proxy that changes the path. */
  @Get()
  page(@Req() request: IncomingMessage, @Res() response: Response): void {
    const path = (request.url ?? '').replace(/\?.*/s, '');
    const folder = path.split('/').findLast((segment) => segment !== '') ?? '';
    const answer = new ConsoleResponse(response);
    if (path.endsWith('/')) answer.redirect(`../${folder}`);
    else answer.send('text/html; charset=utf-8', PAGE.html.replaceAll('{folder}', folder));
  }

  @Get('page.js')
  script(@Res() response: Response): void {
    new ConsoleResponse(response).send('text/javascript; charset=utf-8', PAGE.script);
  }

  @Get('page.css')
  style(@Res() response: Response): void {
    new ConsoleResponse(response).send('text/css; charset=utf-8', PAGE.style);
  }

  @Get('events')
  events(@Res() response: Response): void {
    this.feed.open(new ConsoleResponse(response));
  }

  @Get('policies/:id/events')
  eventsOfPolicy(@Param('id') id: string, @Res() response: Response): void {
    this.feed.open(new ConsoleResponse(response), Number(id));
  }

  @Post('identities')
  async identities(
    @Req() request: BodyRequest & { readonly ip?: string },
    @Res() response: Response,
  ): Promise<void> {
    const state = await this.actions.perform(await jsonOf(request), request.ip ?? 'an unknown client');
    new ConsoleResponse(response).send('application/json; charset=utf-8', JSON.stringify(state));
  }
}

/** Metadata key of `@ApiExcludeController` of `@nestjs/swagger`: OpenAPI documents of the application are for its clients. */
const NOT_IN_DOCUMENTS = 'swagger/apiExcludeController';

/** Creates the controller of a console. */
export function consoleController({ path, guards }: ResolvedConsoleOptions): Type {
  class RateLimitConsoleController extends ConsoleController {}
  Controller({ path, version: VERSION_NEUTRAL })(RateLimitConsoleController);
  SkipRateLimit()(RateLimitConsoleController);
  UseGuards(ConsoleAccessGuard, ...guards)(RateLimitConsoleController);
  Reflect.defineMetadata(NOT_IN_DOCUMENTS, [true], RateLimitConsoleController);
  return RateLimitConsoleController;
}
