import { Inject, Injectable } from '@nestjs/common';
import { RateLimiterService } from 'nestjs-limits';
import type { CompletionRequest } from './api-key.guard.js';
import { FakeModel } from './fake-model.js';
import type { Organisation } from './organisations.service.js';

/** Tokens that a stream takes from a limit in one call. A stream that crashes loses fewer. */
const STEP = 20;

/** A line of a stream: a token, or at the end what was used, and what is left. */
type Line = { readonly token: string } | { readonly usage: Usage; readonly left: Left };

interface Usage {
  readonly input: number;
  readonly output: number;
  /** `'limit'` if a limit has ended the stream. */
  readonly stop: 'length' | 'limit';
  /** Seconds until there are more tokens. */
  readonly retryAfter?: number;
}

export interface Left {
  readonly requests: number;
  readonly input: number;
  readonly output: number;
  readonly streams: number;
  readonly month: number;
}

/** Streams completions, and pays for each token before it is delivered. */
@Injectable()
export class CompletionsService {
  constructor(
    @Inject(RateLimiterService) private readonly limiter: RateLimiterService,
    @Inject(FakeModel) private readonly model: FakeModel,
  ) {}

  async *stream(organisation: Organisation, request: CompletionRequest): AsyncGenerator<Line> {
    const { id, plan } = organisation;
    const input = this.model.count(request.prompt);
    // Unused tokens are refunded when the stream ends, also by a client that disconnects.
    await using minute = await this.limiter.meter({ policy: 'output', plan }, [id], { step: STEP });
    await using month = await this.limiter.meter({ policy: 'month', plan }, [id], { step: STEP });
    organisation.tokens += input + 1; // the first token was taken with the request
    let output = 0;
    for await (const token of this.model.complete(request.prompt, request.max_tokens)) {
      if (output > 0) {
        if (!((await month.add(1)) && (await minute.add(1)))) break;
        organisation.tokens++;
      }
      output++;
      yield { token };
    }
    await Promise.all([minute.end(), month.end()]);
    const refused = [month, minute].find(({ decision }) => decision?.allowed === false)?.decision;
    yield {
      usage: {
        input,
        output,
        stop: output < request.max_tokens ? 'limit' : 'length',
        ...(refused?.retryAfter === undefined ? {} : { retryAfter: Math.ceil(refused.retryAfter / 1000) }),
      },
      left: await this.left(organisation),
    };
  }

  /** Returns what an organisation has left; takes nothing. */
  async left({ id, plan }: Organisation): Promise<Left> {
    const remaining = async (policy: keyof Left): Promise<number> =>
      (await this.limiter.peek({ policy, plan }, id)).remaining;
    return {
      requests: await remaining('requests'),
      input: await remaining('input'),
      output: await remaining('output'),
      streams: await remaining('streams'),
      month: await remaining('month'),
    };
  }
}
