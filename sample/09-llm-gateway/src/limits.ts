import type { ExecutionContext } from '@nestjs/common';
import { requestOf, type RateLimitOptions } from 'nestjs-limits';
import type { GatewayRequest } from './api-key.guard.js';

/** Each organisation has its own counts, once the guard knows it. */
const perOrganisation = { key: 'user', phase: 'afterAuth' } as const satisfies RateLimitOptions;

/** Tokens of a prompt are known before the model runs: its words, as the fake model counts them. */
function promptTokens(context: ExecutionContext): number {
  const prompt = requestOf<GatewayRequest>(context)?.body?.prompt;
  return typeof prompt === 'string' ? prompt.split(/\s+/).filter(Boolean).length : 0;
}

/** The limits of a completion, by plan. */
export const requests = [
  { free: '5/minute', pro: '100/minute' },
  { name: 'requests', ...perOrganisation },
] as const;

export const input = [
  { free: '200/minute', pro: { limits: '5000/minute', burst: 10_000 } },
  { name: 'input', strategy: 'token-bucket', cost: promptTokens, ...perOrganisation },
] as const;

/** A request takes its first token beforehand, so that it is refused if none is left. The others are metered. */
export const output = [
  { free: '200/minute', pro: { limits: '5000/minute', burst: 10_000 } },
  { name: 'output', strategy: 'token-bucket', cost: 1, ...perOrganisation },
] as const;

/** Streams that run at the same time. Each holds its slot until its last token, or until its client hangs up. */
export const streams = [
  { free: '3 concurrent', pro: '50 concurrent' },
  { name: 'streams', ...perOrganisation },
] as const;

/** Input and output together, from the first of each month, UTC. */
export const month = [
  { free: '300/month', pro: '2000/month' },
  {
    name: 'month',
    strategy: 'calendar-window',
    cost: (context: ExecutionContext) => promptTokens(context) + 1,
    ...perOrganisation,
  },
] as const;
