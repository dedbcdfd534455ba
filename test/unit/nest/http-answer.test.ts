import { EventEmitter } from 'node:events';
import { expect, it } from '@jest/globals';
import type { RequestOutcome } from '../../../lib/policies/policy.js';
import { onHttpAnswer } from '../../../lib/nest/transports/http-answer.js';

it('A response has one listener per event for all of its callers, which are called once', () => {
  const response = Object.assign(new EventEmitter(), { statusCode: 200, headersSent: false });
  const outcomes: RequestOutcome[] = [];
  for (let caller = 0; caller < 20; caller++) onHttpAnswer(response, (outcome) => outcomes.push(outcome));
  expect(['finish', 'close'].map((event) => response.listenerCount(event))).toEqual([1, 1]);
  response.headersSent = true;
  response.emit('finish');
  response.emit('close');
  expect(outcomes).toEqual(Array(20).fill({ success: true, statusCode: 200 }));
});
