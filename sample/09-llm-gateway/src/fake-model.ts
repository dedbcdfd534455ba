import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';

/** Time per token, in ms. */
const PACE_MS = Number(process.env['PACE_MS'] ?? 2);

/** In production, a language model. This one repeats the prompt. */
@Injectable()
export class FakeModel {
  /** Counts the tokens of a text: its words. */
  count(text: string): number {
    return text.split(/\s+/).filter(Boolean).length;
  }

  async *complete(prompt: string, maxTokens: number): AsyncGenerator<string> {
    const words = prompt.split(/\s+/).filter(Boolean);
    for (let token = 0; token < maxTokens; token++) {
      if (token > 0) await sleep(PACE_MS);
      yield words[token % words.length] ?? '…';
    }
  }
}
