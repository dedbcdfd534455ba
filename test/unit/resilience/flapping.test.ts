import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  HOUR,
  limitOf,
  MINUTE,
  pass,
  SECOND,
  SimulatedProcess,
  SimulatedStore,
  stopTime,
  TIMEOUT,
  type Answered,
} from './simulation.js';

// Simulations of many requests, which take a while on a busy machine.
jest.setTimeout(120_000);

let store: SimulatedStore;
let processes: SimulatedProcess[];

beforeEach(() => {
  stopTime();
  store = new SimulatedStore();
  processes = [];
});

afterEach(async () => {
  for (const process of processes) await process.stop();
  jest.useRealTimers();
});

function start(
  ...args: ConstructorParameters<typeof SimulatedProcess> extends [unknown, ...infer Rest] ? Rest : never
): SimulatedProcess {
  const process = new SimulatedProcess(store, ...args);
  processes.push(process);
  return process;
}

function sum(of: (process: SimulatedProcess) => number): number {
  return processes.reduce((total, process) => total + of(process), 0);
}

function all(): readonly Answered[] {
  return processes.flatMap(({ answered }) => answered);
}

/** Delays calls of the store for a moment, `times` times. */
async function stall(times: number, ms: number, between: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    const end = performance.now() + ms;
    store.script = () => Math.max(0, end - performance.now());
    await pass(ms + between);
  }
}

describe('A store that stalls for a moment, six times', () => {
  it('admits 5 an hour by itself and 5 by the process, however often it recovers', async () => {
    const process = start(limitOf(5, HOUR));
    process.send('somebody', 3, 10);
    await pass(50);
    await stall(6, 300, 1500);
    expect(process.events).toEqual(Array(6).fill(['degraded', 'recovered']).flat());
    expect([process.admitted('store'), process.admitted('process')]).toEqual([5, 5]);
  });

  it('admits as much again in the next window, and no more', async () => {
    const process = start(limitOf(5, MINUTE));
    process.send('somebody', 3, 10);
    await pass(50);
    await stall(3, 300, 1500);
    await pass(MINUTE, 20);
    expect([process.admitted('store'), process.admitted('process')]).toEqual([10, 5]);
    await stall(3, 300, 1500);
    expect([process.admitted('store'), process.admitted('process')]).toEqual([10, 10]);
  });
});

describe('One client with 300 connections and late calls, at three processes', () => {
  /**
   * The server handles calls of one identity one after another, 2 ms each, like a record with
   * compare-and-set.
   */
  function queueByIdentity(): void {
    const free = new Map<string, number>();
    store.script = (call, identity) => {
      if (call === 'check') return 1;
      const now = performance.now();
      const end = Math.max(now, free.get(identity) ?? 0) + 2;
      free.set(identity, end);
      return end - now;
    };
  }

  it('opens no circuit: the probe succeeds, and the store still decides other identities', async () => {
    queueByIdentity();
    for (let number = 0; number < 3; number++) {
      const process = start(limitOf(50, MINUTE), { instances: 3 });
      process.send('greedy', 100, 5);
      process.send(`modest ${number}`, 1, 100);
    }
    await pass(3 * SECOND);
    expect(processes.map(({ events }) => events)).toEqual([[], [], []]);
    expect(store.checks).toBeGreaterThan(10);

    const greedy = all().filter(({ identity }) => identity === 'greedy');
    const share = 3 * Math.floor(50 / 3);
    expect(greedy.some(({ degraded }) => degraded === 'fallback')).toBe(true);
    expect(greedy.filter(({ allowed }) => allowed).length).toBeLessThanOrEqual(50 + share);
    const modest = all().filter(({ identity }) => identity !== 'greedy');
    expect(modest.length).toBeGreaterThan(60);
    expect(new Set(modest.map(({ allowed, degraded }) => `${allowed} ${degraded}`))).toEqual(
      new Set(['true undefined']),
    );
  });

  it('waits at most for the timeout, even if all requests share one global key', async () => {
    queueByIdentity();
    for (let number = 0; number < 3; number++)
      start(limitOf(500, MINUTE), { instances: 3 }).send('everybody', 100, 5);
    await pass(3 * SECOND);
    expect(processes.map(({ events }) => events)).toEqual([[], [], []]);
    expect(Math.max(...all().map(({ took }) => took))).toBeLessThanOrEqual(TIMEOUT + 1);
    const admitted = sum((process) => process.admitted());
    expect(admitted).toBeLessThanOrEqual(500 + 3 * Math.floor(500 / 3));
    expect(admitted).toBeGreaterThanOrEqual(3 * Math.floor(500 / 3));
  });
});

describe('A slow server with every second call late,', () => {
  it('delays no request beyond the timeout, and admits its limit and one share', async () => {
    let calls = 0;
    store.script = () => (++calls % 2 === 0 ? 200 : 1);
    const process = start(limitOf(50, HOUR));
    process.send('somebody', 10, 20);
    await pass(20 * SECOND);
    expect(Math.max(...all().map(({ took }) => took))).toBeLessThanOrEqual(TIMEOUT + 1);
    expect(process.admitted('store')).toBeLessThanOrEqual(50);
    expect(process.admitted('process')).toBe(50);
  });
});

describe('Failures', () => {
  /** Sends a request at each interval, of which one in `oneIn` fails. */
  async function failOneOf(every: number, interval: number, calls: number): Promise<SimulatedProcess> {
    const process = start(limitOf(1_000_000, HOUR));
    for (let call = 0; call < calls; call++) {
      store.script = (kind) => (kind === 'check' || call % every === every - 1 ? 'error' : 0);
      await process.request('somebody');
      await pass(interval, interval);
    }
    return process;
  }

  it('of one call in twenty open the circuit once there are five within the window', async () => {
    expect((await failOneOf(20, 90, 99)).events).toEqual([]);
    expect((await failOneOf(20, 90, 100)).events).toEqual(['degraded']);
  });

  it('that are further apart start no probe', async () => {
    const { events } = await failOneOf(20, 150, 400);
    expect([events, store.checks]).toEqual([[], 0]);
  });

  it('in a row open the circuit even with little traffic: one call in a minute', async () => {
    expect((await failOneOf(1, MINUTE, 4)).events).toEqual([]);
    expect((await failOneOf(1, MINUTE, 5)).events).toEqual(['degraded']);
  });
});

describe('An outage with fallback', () => {
  it('admits one share per window and process, however often the store fails and recovers', async () => {
    for (let number = 0; number < 3; number++)
      start(limitOf(60, HOUR), { instances: 3 }).send('somebody', 5, 50);
    for (let time = 0; time < 10; time++) {
      store.script = () => 'error';
      await pass(1500, 5);
      store.script = () => 0;
      await pass(1500, 5);
    }
    expect(processes.map(({ events }) => events.length)).toEqual([20, 20, 20]);
    expect(processes.map((process) => process.admitted('process'))).toEqual([20, 20, 20]);
    expect(sum((process) => process.admitted('store'))).toBe(60);
  });

  it('refunds late answers for requests that the process refused', async () => {
    const limit = limitOf(10, HOUR);
    const process = start(limit);
    store.script = () => 100; // every answer is late, including that of the probe
    for (let time = 0; time < 4; time++) void process.request('somebody');
    await pass(60);
    expect(process.admitted()).toBe(4);
    for (let time = 0; time < 10; time++) void process.request('somebody');
    await pass(2 * SECOND);
    expect([process.admitted('process'), store.counted(limit, 'somebody')]).toEqual([10, 10]);
    store.script = () => 0;
    await pass(2 * SECOND);
    expect(store.counted(limit, 'somebody')).toBe(10);
  });
});
