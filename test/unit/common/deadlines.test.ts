import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '../../support/servers/server-process.js';
import { Deadlines } from '../../../lib/common/deadlines.js';

describe('A deadline', () => {
  it('that is met is not missed, and one that is missed is not met', async () => {
    const deadlines = new Deadlines(20);
    const missed: string[] = [];
    const meetFirst = deadlines.begin(() => missed.push('first'));
    const meetSecond = deadlines.begin(() => missed.push('second'));
    expect(meetFirst()).toBe(true);
    expect(meetFirst()).toBe(false);
    await until(() => missed.length > 0, 'the second deadline to be missed');
    expect(missed).toEqual(['second']);
    expect(meetSecond()).toBe(false);
  });

  it('is not missed before it ends, whenever others began', async () => {
    const deadlines = new Deadlines(40);
    const early: boolean[] = [];
    for (let index = 0; index < 4; index++) {
      const end = performance.now() + 40;
      const meet = deadlines.begin(() => early.push(performance.now() < end));
      if (index % 2 === 1) meet();
      await sleep(10);
    }
    await until(() => early.length === 2, 'both deadlines to be missed');
    expect(early).toEqual([false, false]);
  });

  it('of many is missed in the order in which they began', async () => {
    const deadlines = new Deadlines(5);
    const missed: number[] = [];
    for (let index = 0; index < 1000; index++) deadlines.begin(() => missed.push(index));
    await until(() => missed.length === 1000, 'all deadlines to be missed');
    expect(missed).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  });

  it('can begin while others are missed', async () => {
    const deadlines = new Deadlines(5);
    const missed: string[] = [];
    deadlines.begin(() => {
      missed.push('first');
      deadlines.begin(() => missed.push('second'));
    });
    await until(() => missed.length === 2, 'both deadlines to be missed');
    expect(missed).toEqual(['first', 'second']);
  });

  it('is still missed after a rest, and an idle timer is cleared', async () => {
    const deadlines = new Deadlines(20);
    const missed: string[] = [];
    deadlines.begin(() => missed.push('waited for'));
    deadlines.rest();
    await until(() => missed.length > 0, 'the deadline to be missed');
    expect(missed).toEqual(['waited for']);

    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const meet = deadlines.begin(() => missed.push('met'));
    expect(timers()).toBe(before + 1);
    meet();
    deadlines.rest();
    expect(timers()).toBe(before);
    deadlines.begin(() => missed.push('started again'));
    await until(() => missed.length === 2, 'the next deadline to be missed');
    expect(missed).toEqual(['waited for', 'started again']);
  });
});

it('The timer of deadlines at rest is cleared with the last call in flight', () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const deadlines = new Deadlines(60_000);
  const [meetFirst, meetSecond] = [deadlines.begin(() => undefined), deadlines.begin(() => undefined)];
  deadlines.rest();
  expect(timers()).toBe(before + 1);
  meetFirst();
  expect(timers()).toBe(before + 1);
  meetSecond();
  expect(timers()).toBe(before);
});

it('Deadlines that were met take no memory, however far their ends are', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const deadlines = new Deadlines(3_600_000);
  const heapAfter = (calls: number): number => {
    const meetOldest = deadlines.begin(() => undefined);
    for (let call = 0; call < calls; call++) deadlines.begin(() => undefined)();
    meetOldest();
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = heapAfter(1000);
  expect(heapAfter(500_000) - before).toBeLessThan(5_000_000);
  deadlines.rest();
});

describe('A call with a deadline', () => {
  it('returns its reply, and the reason of its failure', async () => {
    const deadlines = new Deadlines(20);
    expect(await deadlines.bound(Promise.resolve('reply'))).toBe('reply');
    const reason = new Error('refused');
    await expect(deadlines.bound(Promise.reject(reason))).rejects.toBe(reason);
    deadlines.rest();
  });

  it('rejects when the deadline has passed, and its late failure is ignored', async () => {
    const deadlines = new Deadlines(5);
    let fail = (_error: Error): void => undefined;
    const late = deadlines.bound(
      new Promise((_resolve, reject) => {
        fail = reject;
      }),
    );
    await expect(late).rejects.toThrow('no answer within 5 ms');
    fail(new Error('late'));
    await sleep(1); // an unhandled rejection would fail the run
  });
});
