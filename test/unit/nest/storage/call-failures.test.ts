import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CallFailures } from '../../../../lib/nest/storage/call-failures.js';

let reported: string[];
let failures: CallFailures;

beforeEach(() => {
  jest.useFakeTimers();
  reported = [];
  failures = new CallFailures(({ message }) => reported.push(message));
});

afterEach(() => {
  jest.useRealTimers();
});

function fail(...messages: string[]): void {
  for (const message of messages) failures.add(new Error(message));
}

describe('The failures of calls', () => {
  it('are reported after two seconds, once per kind of error', () => {
    fail('CROSSSLOT', 'READONLY', 'CROSSSLOT');
    jest.advanceTimersByTime(1999);
    expect(reported).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(reported).toEqual(['CROSSSLOT', 'READONLY']);
    fail('CROSSSLOT');
    jest.advanceTimersByTime(60_000);
    expect(reported).toEqual(['CROSSSLOT', 'READONLY']);
  });

  it('are of one kind if they differ only in numbers and digests', () => {
    fail('MOVED 17 127.0.0.1:7001', 'MOVED 9 10.0.0.2:7002', 'call to f_1a2b', 'call to f_99', 'no slot');
    jest.advanceTimersByTime(2000);
    expect(reported).toEqual(['MOVED 17 127.0.0.1:7001', 'call to f_1a2b', 'no slot']);
  });

  it('are not reported once the store is lost, but later ones are', () => {
    fail('ECONNREFUSED');
    failures.clear();
    jest.advanceTimersByTime(60_000);
    expect([reported, jest.getTimerCount()]).toEqual([[], 0]);
    fail('ECONNREFUSED');
    jest.advanceTimersByTime(2000);
    expect(reported).toEqual(['ECONNREFUSED']);
  });

  it('are not reported if another line has reported their kind', () => {
    fail('CROSSSLOT');
    failures.skip(new Error('CROSSSLOT'));
    fail('CROSSSLOT');
    jest.advanceTimersByTime(60_000);
    expect([reported, jest.getTimerCount()]).toEqual([[], 0]);
  });

  it('are of a hundred kinds at most', () => {
    for (let kind = 0; kind < 200; kind++) fail(`kind ${'x'.repeat(kind)}`);
    jest.advanceTimersByTime(2000);
    expect(reported).toHaveLength(100);
  });
});
