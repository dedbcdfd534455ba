import { Readable } from 'node:stream';
import {
  BadRequestException,
  Body,
  Controller,
  Get,
  HttpCode,
  Inject,
  Post,
  Req,
  StreamableFile,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { RateLimit, RateLimitGuard } from 'nestjs-limits';
import { ApiKeyGuard, type CompletionRequest, type GatewayRequest } from './api-key.guard.js';
import { CompletionsService } from './completions.service.js';
import { input, month, output, requests, streams } from './limits.js';

@Controller('v1')
@UseGuards(ApiKeyGuard, RateLimitGuard)
export class CompletionsController {
  constructor(@Inject(CompletionsService) private readonly completions: CompletionsService) {}

  /** All limits are one decision: a request that one of them refuses takes nothing of the others. */
  @Post('completions')
  @HttpCode(200)
  @RateLimit(...requests)
  @RateLimit(...input)
  @RateLimit(...output)
  @RateLimit(...streams)
  @RateLimit(...month)
  complete(@Req() { user }: GatewayRequest, @Body() body: Partial<CompletionRequest>): StreamableFile {
    if (user === undefined) throw new UnauthorizedException();
    const { prompt, max_tokens = 100 } = body;
    if (typeof prompt !== 'string' || !Number.isInteger(max_tokens) || max_tokens < 1)
      throw new BadRequestException(
        'Send a prompt, and max_tokens from 1: { "prompt": "Hello", "max_tokens": 10 }.',
      );
    const lines = this.completions.stream(user, { prompt, max_tokens });
    return new StreamableFile(Readable.from(asText(lines)), { type: 'application/x-ndjson' });
  }

  @Get('usage')
  async usage(@Req() { user }: GatewayRequest) {
    if (user === undefined) throw new UnauthorizedException();
    return { tokens: user.tokens, left: await this.completions.left(user) };
  }
}

async function* asText(lines: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const line of lines) yield `${JSON.stringify(line)}\n`;
}
