import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { HttpException } from '@nestjs/common';
import { MemoryStorage } from 'nestjs-limits';
import { ConsoleFeed } from '../../../../lib/nest/console/console-feed.js';
import type { ConsolePolicies } from '../../../../lib/nest/console/console-policies.js';
import { ConsoleRecorder } from '../../../../lib/nest/console/console-recorder.js';
import type { ConsoleResponse } from '../../../../lib/nest/console/console-response.js';
import type { StoreHealth } from '../../../../lib/nest/storage/store-health.js';
import { observed } from '../../../../lib/observability/observed.storage.js';
import { RateLimitEvents } from '../../../../lib/observability/rate-limit-events.js';

/** A client's stream, which may take nothing. */
class Stream {
  readonly events: string[] = [];
  isDestroyed = false;
  waitingBytes = 0;
  begin(): void {}
  end(): void {}
  onClose(): void {}
  write(event: string): void {
    this.events.push(/^event: (.*)$/m.exec(event)?.[1] ?? '');
  }
  destroy(): void {
    this.isDestroyed = true;
  }
}

const events = new RateLimitEvents();
const names: string[] = [];
let feed: ConsoleFeed;

function open(): Stream {
  const stream = new Stream();
  feed.open(stream as unknown as ConsoleResponse);
  return stream;
}

beforeEach(() => {
  jest.useFakeTimers();
  const recorder = new ConsoleRecorder(
    events,
    { store: 'TestStorage' } as unknown as StoreHealth,
    observed(new MemoryStorage(), events),
  );
  names.length = 0;
  feed = new ConsoleFeed(recorder, { views: () => [...names] } as unknown as ConsolePolicies);
  feed.onApplicationBootstrap();
});

afterEach(() => {
  feed.onModuleDestroy();
  jest.useRealTimers();
});

describe('The feed of the console', () => {
  it('sends a tick each second, and everything once the policies have changed', () => {
    jest.advanceTimersByTime(1000);
    const stream = open();
    jest.advanceTimersByTime(1000);
    names.push('orders');
    jest.advanceTimersByTime(2000);
    expect(stream.events).toEqual(['snapshot', 'tick', 'snapshot', 'tick']);
  });

  it('ends the stream of a client that takes nothing', () => {
    const [slow, other] = [open(), open()];
    slow.waitingBytes = Infinity;
    jest.advanceTimersByTime(1000);
    expect([slow.isDestroyed, other.isDestroyed]).toEqual([true, false]);
    expect([slow.events, other.events]).toEqual([['snapshot'], ['snapshot', 'tick']]);
  });

  it('serves at most 50 streams at a time', () => {
    for (let count = 0; count < 50; count++) open();
    expect(open).toThrow(HttpException);
    expect(open).toThrow('The console serves 50 streams at a time.');
  });
});
