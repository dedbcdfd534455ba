import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { MemoryStorage, StorageError } from 'nestjs-limits';
import { resolveOptions } from '../../../../lib/nest/options/resolve-options.js';
import { StoreLog } from '../../../../lib/nest/storage/store-log.js';
import { RecordingLogger } from '../../../support/http-app.js';

const LOST = 'MemoryStorage failed: no power. Until it is back, this process counts alone.';
const FAILED =
  'MemoryStorage failed: no power. When a single call fails, this process counts alone. This kind of failure is logged once, an outage each time.';
const BACK = 'MemoryStorage is back.';
const error = new StorageError('MemoryStorage failed: no power');

let written: RecordingLogger;
let log: StoreLog;

beforeEach(() => {
  jest.useFakeTimers();
  written = new RecordingLogger();
  Logger.overrideLogger(written);
  log = new StoreLog(new MemoryStorage(), resolveOptions({}));
});

afterEach(() => {
  log.onApplicationShutdown();
  Logger.overrideLogger(true);
  jest.useRealTimers();
});

/** Loses the store for a ms, several times in a row. */
function flap(times: number): void {
  for (let time = 0; time < times; time++) {
    log.lost(error);
    jest.advanceTimersByTime(1);
    log.found();
  }
}

describe('The log of the store', () => {
  it('reports once that it is lost and once that it is back', () => {
    flap(1);
    expect(written.warnings).toEqual([LOST]);
    expect(written.infos).toEqual([BACK]);
  });

  it('has one line per ten seconds for a store that flaps, and the next one has the number of omitted losses', () => {
    flap(500);
    expect(written.warnings).toEqual([LOST]);
    expect(written.infos).toEqual([BACK]);
    jest.advanceTimersByTime(10_000);
    flap(1);
    expect(written.warnings).toEqual([LOST, `${LOST} Losses left out since the last such line: 499.`]);
    expect(written.infos).toEqual([BACK, BACK]);
    jest.advanceTimersByTime(10_000);
    flap(1);
    expect(written.warnings.at(-1)).toBe(LOST);
  });

  it('omits a loss if the store is back before the line is written', () => {
    flap(2);
    log.lost(error);
    jest.advanceTimersByTime(9_997);
    expect(written.warnings).toEqual([LOST]);
    jest.advanceTimersByTime(1);
    expect(written.warnings).toEqual([LOST, `${LOST} Losses left out since the last such line: 1.`]);
    log.found();
    expect(written.infos).toEqual([BACK, BACK]);
  });

  it('writes nothing after the application has shut down', () => {
    flap(1);
    log.lost(error);
    log.onApplicationShutdown();
    jest.advanceTimersByTime(60_000);
    expect(written.warnings).toEqual([LOST]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('reports a call that fails while the store is in use, and does not repeat that when the store is lost', () => {
    log.failed(error);
    jest.advanceTimersByTime(2000);
    expect(written.warnings).toEqual([FAILED]);
    log.failed(error);
    flap(1);
    jest.advanceTimersByTime(2000);
    expect(written.warnings).toEqual([FAILED, LOST]);
  });

  it('reports a store that is lost, and not the calls that failed before', () => {
    log.failed(error);
    flap(1);
    log.failed(error);
    jest.advanceTimersByTime(60_000);
    expect(written.warnings).toEqual([LOST]);
  });

  it('does not repeat an error of the check at start', () => {
    log.notReady(new StorageError('MemoryStorage does not answer (no power).', { cause: error }));
    log.failed(error);
    jest.advanceTimersByTime(60_000);
    expect(written.warnings).toEqual([
      'MemoryStorage does not answer (no power). The application starts without it.',
    ]);
  });

  it.each([
    ['allow', 'requests are let through'],
    ['deny', 'requests fail'],
  ] as const)('reports how requests are decided: onError "%s"', (onError, meanwhile) => {
    log = new StoreLog(new MemoryStorage(), resolveOptions({ resilience: { onError } }));
    log.lost(new StorageError('It does not answer.'));
    expect(written.warnings).toEqual([`It does not answer. Until it is back, ${meanwhile}.`]);
  });
});

it('The log of a store without resilience says nothing of its failures, which the calls tell', () => {
  const plain = new StoreLog(new MemoryStorage(), resolveOptions({ resilience: false }));
  plain.failed(error);
  plain.lost(error);
  jest.advanceTimersByTime(10_000);
  plain.onApplicationShutdown();
  expect(written.warnings).toEqual([]);
});
