import { describe, expect, it } from '@jest/globals';
import { createLimit, Decision, MemoryStorage, type Limit } from 'nestjs-limits';
import { problemDetails } from '../../../lib/nest/transports/rate-limit-exceeded.exception.js';

const limit = (name: string, amount: number, mode: Limit['mode'] = 'enforce'): Limit =>
  createLimit({ id: name, name, strategy: 'fixed-window', amount, period: 60_000, mode });

describe('Problem details', () => {
  it('name every enforced limit that refused, and no other', () => {
    const limits = [limit('minute', 0), limit('hour', 9), limit('trial', 0, 'shadow'), limit('day', 0)];
    const result = new MemoryStorage().consume(
      limits.map((one) => ({ identity: 'ip:1', limit: one, cost: 1 })),
    );
    expect(problemDetails(new Decision(result), 'Try again later.')).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Request cannot be satisfied as assigned quota has been exceeded',
      status: 429,
      detail: 'Try again later.',
      'violated-policies': ['minute', 'day'],
    });
  });
});
