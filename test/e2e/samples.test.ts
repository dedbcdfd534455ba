import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { readStream } from '../support/event-stream.js';
import { startRedis } from '../support/servers/redis.js';
import { ask, freePort, isListening, until } from '../support/servers/server-process.js';
import { serverUri } from '../support/servers.js';

/** The samples as `npm run sample` starts them, but compiled by the loader of the tests. */

const LOADER = new URL('../support/typescript.mjs', import.meta.url).href;

/** A separate database on the shared server, since samples use the default key prefix. */
const redisUrl = `${serverUri('REDIS')}/7`;

let running: ChildProcess | undefined;
/** Its output so far. */
let output = '';

afterEach(stop);

/** Stops the sample, if one runs. */
async function stop(): Promise<void> {
  if (running === undefined) return;
  const exit = once(running, 'exit');
  for (const signal of times(2, 'SIGTERM' as const)) running.kill(signal); // as a terminal and npm may
  running = undefined;
  expect(await exit).toEqual([null, 'SIGTERM']); // after its shutdown hooks, Nest ends the process with the signal
}

/** Starts a sample; returns the addresses in its output. */
async function start(name: string, env: Record<string, string> = {}): Promise<string[]> {
  const script = `sample/${name}/src/main.ts`;
  const child = spawn(process.execPath, ['--import', LOADER, script], {
    env: { ...process.env, PORT: String(await freePort()), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running = child;
  output = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (output += piece));
  const end = once(child.stdout, 'end').then(() => {
    throw new Error(`The sample ended before it listened: ${output}`);
  });
  await Promise.race([until(() => LINES_TO_TRY.test(output), 'the sample to listen'), end]);
  end.catch(() => undefined); // it may end now
  return addressesIn(LINES_TO_TRY.exec(output)?.[1] ?? '');
}

/** The commands that a sample prints; they end with an empty line. */
const LINES_TO_TRY = /try:\n\n(.*\n)\n/is;

function addressesIn(text: string): string[] {
  // By name, a client may use IPv6 for one request and IPv4 for the next.
  return [...text.matchAll(/(?:http|ws):\/\/[^\s;]+/g)].map(([url]) => url.replace('localhost', '127.0.0.1'));
}

/** Returns an empty folder for the data of a server, which may run as another user. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-limits-sample-'));
  chmodSync(folder, 0o755);
  return folder;
}

async function statusesOf(urls: readonly string[], method = 'GET'): Promise<number[]> {
  const statuses: number[] = [];
  for (const url of urls) statuses.push((await fetch(url, { method })).status);
  return statuses;
}

function times<T>(count: number, value: T): T[] {
  return new Array<T>(count).fill(value);
}

describe('Sample 01-quick-start', () => {
  it('limits the printed commands', async () => {
    const [hello = '', login = '', free = '', report = ''] = await start('01-quick-start');
    expect(await statusesOf(times(6, hello))).toEqual([...times(5, 200), 429]);
    expect(await statusesOf(times(4, login), 'POST')).toEqual([...times(3, 200), 429]);
    expect(await statusesOf(times(12, free))).toEqual(times(12, 200));
    expect((await statusesOf(times(12, report))).slice(0, 10)).toEqual(times(10, 200));
  });
});

describe('Sample 02-redis', () => {
  beforeAll(async () => {
    const client = new Redis(redisUrl);
    await client.flushdb();
    client.disconnect();
  });

  it('shares five requests a minute between two instances', async () => {
    const [one = '', other = ''] = await start('02-redis', { REDIS_URL: redisUrl });
    expect(one).not.toBe(other);

    const replies = [];
    for (const url of [one, other, one, other, one]) {
      replies.push(await (await fetch(url)).json());
    }
    expect(replies).toEqual([4, 3, 2, 1, 0].map((remaining) => ({ message: 'Hello!', remaining })));
    expect(await statusesOf([other, one])).toEqual([429, 429]);
  });
});

describe('Sample 11-postgresql', () => {
  /** It creates the data of a server. */
  const START_TIMEOUT_MS = 90_000;

  it(
    'shares five requests a minute between two instances, and stops its server',
    async () => {
      const folder = temporaryFolder();
      const [one = '', other = ''] = await start('11-postgresql', { TMPDIR: folder });
      expect(one).not.toBe(other);
      const replies = [];
      for (const url of [one, other, one, other, one]) replies.push(await (await fetch(url)).json());
      expect(replies).toEqual([4, 3, 2, 1, 0].map((remaining) => ({ message: 'Hello!', remaining })));
      expect(await statusesOf([other, one])).toEqual([429, 429]);

      const port = Number(/@127\.0\.0\.1:(\d+)\//.exec(output)?.[1]);
      expect(await isListening(port)).toBe(true);
      await stop();
      expect(await isListening(port)).toBe(false);
      expect(readdirSync(folder)).toEqual([]);
      rmdirSync(folder);
    },
    START_TIMEOUT_MS,
  );

  it(
    'tells what to install if PostgreSQL is missing',
    async () => {
      const child = spawn(process.execPath, ['--import', LOADER, 'sample/11-postgresql/src/main.ts'], {
        env: { ...process.env, POSTGRESQL_BIN: '/nowhere' },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let errors = '';
      child.stderr.setEncoding('utf8').on('data', (piece: string) => (errors += piece));
      expect(await once(child, 'close')).toEqual([1, null]);
      expect(errors).toContain(
        'PostgreSQL is not installed. Install it, for example by "apt-get install postgresql"',
      );
    },
    START_TIMEOUT_MS,
  );
});

describe('Sample 04-rules-and-plans', () => {
  it('limits customers by their plans, and limits guesses', async () => {
    const [reports = '', change = '', , , guess = ''] = await start('04-rules-and-plans');
    const ask = async (): Promise<number> =>
      (await fetch(reports, { headers: { 'x-api-key': 'ann-key' } })).status;
    for (const status of [...times(5, 200), 429]) expect(await ask()).toBe(status);
    const changed = await fetch(change, { method: 'PUT', headers: { 'x-admin-key': 'admin-key' } });
    expect(changed.status).toBe(200);
    expect(await ask()).toBe(200);
    expect(await statusesOf(times(4, guess), 'PUT')).toEqual([...times(3, 403), 429]);
  });
});

describe('Sample 03-custom-storage', () => {
  it('counts ten requests a minute in a custom storage', async () => {
    const [hello = ''] = await start('03-custom-storage');
    expect(await statusesOf(times(12, hello))).toEqual([...times(10, 200), 429, 429]);
  });
});

describe('Sample 05-graphql', () => {
  const ask = async (url: string, query: string): Promise<{ data: unknown; errors?: Thrown[] }> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) });
    return (await response.json()) as { data: unknown; errors?: Thrown[] };
  };
  interface Thrown {
    path: string[];
    extensions: { code: string };
  }

  it('counts each alias, and only wrong passwords', async () => {
    const [url = ''] = await start('05-graphql');
    const { data, errors = [] } = await ask(url, '{ a: book b: book c: book d: book e: book f: book }');
    const book = 'Moby-Dick';
    expect(data).toEqual({ a: book, b: book, c: book, d: book, e: book, f: null });
    expect(errors.map(({ path, extensions: { code } }) => [path, code])).toEqual([
      [['f'], 'TOO_MANY_REQUESTS'],
    ]);
    expect(await ask(url, '{ remaining }')).toEqual({ data: { remaining: 59 } });

    const login = (password: string): string => `mutation { login(password: "${password}") }`;
    const codes = [];
    for (const password of ['a', 'open sesame', 'b', 'open sesame', 'c', 'open sesame'])
      codes.push((await ask(url, login(password))).errors?.[0]?.extensions.code ?? 'welcome');
    const wrong = 'UNAUTHENTICATED';
    expect(codes).toEqual([wrong, 'welcome', wrong, 'welcome', wrong, 'TOO_MANY_REQUESTS']);
  });
});

describe('Sample 06-websockets', () => {
  async function say(url: string, times: number): Promise<unknown[]> {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    const answers: unknown[] = [];
    for (let message = 0; message < times; message++) {
      socket.send(JSON.stringify({ event: 'say', data: 'hi' }));
      const [text] = (await once(socket, 'message')) as [Buffer];
      const { data } = JSON.parse(text.toString()) as {
        data: { remaining?: number; limit?: { name: string } };
      };
      answers.push(data.limit?.name ?? data.remaining);
    }
    socket.terminate();
    return answers;
  }

  it('counts by connection, by address, and the connections themselves', async () => {
    const [url = ''] = await start('06-websockets');
    expect(await say(url, 4)).toEqual([2, 1, 0, 'connection']);
    expect(await say(url, 3)).toEqual([1, 0, 'address']);
    for (let connection = 2; connection < 10; connection++) expect(await say(url, 0)).toEqual([]);
    const [code] = (await once(new WebSocket(url), 'close')) as [number];
    expect(code).toBe(1013);
  });
});

describe('Sample 07-microservice', () => {
  it('counts by customer, and reports refusals over HTTP', async () => {
    const [alice = '', bob = ''] = await start('07-microservice');
    expect(await statusesOf(times(4, alice), 'POST')).toEqual([201, 201, 201, 429]);
    const replies = await Promise.all([fetch(alice, { method: 'POST' }), fetch(bob, { method: 'POST' })]);
    const [refused, order] = await Promise.all(replies.map((reply) => reply.json()));
    expect(refused).toMatchObject({ statusCode: 429, limit: { name: 'default', amount: 3, period: 60 } });
    expect(order).toEqual({ customer: 'bob', remaining: 2 });
  });
});

describe('Sample 08-resilient', () => {
  const health = async (url: string): Promise<[number, string]> => {
    const response = await fetch(url);
    return [response.status, ((await response.json()) as { status: string }).status];
  };

  it('keeps running without its Redis, and logs that', async () => {
    const redis = await startRedis();
    try {
      const urls = await start('08-resilient', { REDIS_URL: redis.uri });
      const [healthUrl = '', hello = ''] = urls;
      expect(urls).toEqual([healthUrl, hello, hello, healthUrl]);
      await until(async () => (await health(healthUrl))[1] === 'ok', 'Redis to be connected');
      expect(await statusesOf(times(3, hello))).toEqual([200, 200, 200]);

      await redis.kill();
      expect(await statusesOf(times(7, hello))).toEqual([...times(5, 200), 429, 429]);
      expect(await health(healthUrl)).toEqual([200, 'degraded']);

      await redis.restart();
      await until(async () => (await health(healthUrl))[1] === 'ok', 'Redis to be found again');
      expect(await statusesOf(times(6, hello))).toEqual([...times(5, 200), 429]);
      expect(await clientsCountedIn(redis.uri)).toBe(1);
    } finally {
      await redis.stop();
    }
    // Errors of one kind are reported once per second.
    const told = [...output.matchAll(/^event (error|degraded|recovered)/gm)].map(([, type]) => type);
    expect(told.filter((type, index) => type !== told[index - 1])).toEqual([
      'error',
      'degraded',
      'recovered',
    ]);
  });
});

describe('Sample 09-llm-gateway', () => {
  const BUDGET = 2000;
  /** Tokens that a request takes when it begins: four of its prompt, and the first one of its answer. */
  const AT_FIRST = 5;

  interface Line {
    token?: string;
    usage?: { input: number; output: number; stop: string };
  }

  function complete(
    url: string,
    maxTokens: number,
    signal?: AbortSignal,
    key = 'umbrella-key',
  ): Promise<Response> {
    return fetch(url, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'one two three four', max_tokens: maxTokens }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async function linesOf(response: Response): Promise<Line[]> {
    const lines = (await response.text()).trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Line);
  }

  /** Reads a part of a stream, and hangs up. */
  async function hangUp(url: string, chunks: number): Promise<number> {
    const controller = new AbortController();
    const response = await complete(url, 60, controller.signal);
    const reader = response.body?.getReader();
    for (let chunk = 0; chunk < chunks; chunk++) await reader?.read();
    controller.abort();
    return response.status;
  }

  it('never exceeds a budget by 50 streams at once, some of which are killed, and bills what it counts', async () => {
    const [completions = '', usage = ''] = await start('09-llm-gateway');
    const usageOf = async (): Promise<{ tokens: number; left: { month: number } }> => {
      const response = await fetch(usage, { headers: { 'x-api-key': 'umbrella-key' } });
      return (await response.json()) as { tokens: number; left: { month: number } };
    };
    const killed = Array.from({ length: 10 }, (_, index) => hangUp(completions, 1 + index));
    const streams = Array.from({ length: 40 }, async () => {
      const response = await complete(completions, 60);
      return { status: response.status, lines: await linesOf(response) };
    });
    expect(new Set(await Promise.all(killed))).toEqual(new Set([200]));
    const answers = await Promise.all(streams);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    let delivered = 0;
    const stops = new Set<string | undefined>();
    for (const { lines } of answers) {
      const { usage: used } = lines.at(-1) ?? {};
      expect(lines.filter(({ token }) => token !== undefined)).toHaveLength(used?.output ?? NaN);
      stops.add(used?.stop);
      delivered += 4 + (used?.output ?? NaN);
    }
    expect(stops).toContain('limit');
    expect(delivered).toBeLessThanOrEqual(BUDGET);

    const isSettled = async (): Promise<boolean> => {
      const { tokens, left } = await usageOf();
      return tokens + left.month === BUDGET;
    };
    await until(isSettled, 'the killed streams to give their tokens back');
    let response = await complete(completions, BUDGET);
    for (; response.status === 200; response = await complete(completions, BUDGET)) await response.text();
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ limit: { name: 'month', amount: BUDGET } });
    const { tokens, left } = await usageOf();
    expect(left.month).toBeLessThan(AT_FIRST);
    expect(tokens).toBe(BUDGET - left.month);
  });

  it('runs three streams of a free organisation at once, and a fourth once a client has hung up', async () => {
    const [completions = '', usage = ''] = await start('09-llm-gateway', { PACE_MS: '60000' });
    const left = async (): Promise<unknown> => {
      const response = await fetch(usage, { headers: { 'x-api-key': 'acme-key' } });
      return ((await response.json()) as { left: unknown }).left;
    };
    const clients = times(4, 0).map(() => new AbortController());
    const complete30 = (client?: AbortController): Promise<Response> =>
      complete(completions, 30, client?.signal, 'acme-key');
    const streams = await Promise.all(clients.slice(0, 3).map(complete30));
    expect(streams.map(({ status }) => status)).toEqual([200, 200, 200]);
    const refused = await complete30();
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      limit: { name: 'streams', amount: 3, period: null, remaining: 0 },
      retryAfter: null,
    });
    expect(await left()).toMatchObject({ requests: 2, streams: 0 });
    clients[0]?.abort();
    await until(async () => ((await left()) as { streams: number }).streams === 1, 'its slot to be free');
    expect((await complete30(clients[3])).status).toBe(200);
    expect(await left()).toMatchObject({ requests: 1, streams: 0 });
    for (const client of clients) client.abort();
  }, 60_000);
});

describe('Sample 10-exports', () => {
  interface Exports {
    free: number;
    exports: { state: string; rows: number }[];
  }

  it('runs two exports of a user at once, also while its Redis is restarted without its data', async () => {
    const redis = await startRedis();
    try {
      const [exportsOfAnn = ''] = await start('10-exports', { REDIS_URL: redis.uri });
      const begin = async (url: string, rows: number): Promise<number> => {
        const response = await fetch(url, {
          method: 'POST',
          body: new URLSearchParams({ rows: String(rows) }),
        });
        expect(response.status).toBe(202);
        return ((await response.json()) as { id: number }).id;
      };
      const list = async (): Promise<Exports> => (await (await fetch(exportsOfAnn)).json()) as Exports;
      const states = async (): Promise<unknown[]> => {
        const { free, exports } = await list();
        return [free, ...exports.map(({ state }) => state)];
      };
      const untilStates = (...expected: unknown[]): Promise<void> =>
        until(async () => JSON.stringify(await states()) === JSON.stringify(expected), expected.join(', '));
      const moreRows = async (): Promise<void> => {
        const [first = NaN, second = NaN] = (await list()).exports.map(({ rows }) => rows);
        await until(
          async () => (await list()).exports.slice(0, 2).every(({ rows }) => rows > Math.max(first, second)),
          'both exports to go on',
        );
      };
      const [first, second, third] = [
        await begin(exportsOfAnn, 1_000_000),
        await begin(exportsOfAnn, 1_000_000),
        await begin(exportsOfAnn, 1_000_000),
      ];
      await untilStates(0, 'running', 'running', 'waiting');

      const exportsOfBob = exportsOfAnn.replace('ann', 'bob');
      const progress = await (await fetch(`${exportsOfBob}/${await begin(exportsOfBob, 3)}`)).text();
      const events = [...progress.matchAll(/^data: (.*)$/gm)].map(
        ([, json = '']) => JSON.parse(json) as object,
      );
      expect(events.at(-1)).toEqual({ id: 4, state: 'done', rows: 3, of: 3 });

      await redis.kill();
      await until(() => output.includes('event degraded'), 'Redis to be missed');
      await moreRows();
      expect(await states()).toEqual([0, 'running', 'running', 'waiting']);

      await redis.restart();
      await until(() => output.includes('event recovered'), 'Redis to be found again');
      await moreRows();
      expect(await slotsCountedIn(redis.uri)).toBe(2);
      expect(await states()).toEqual([0, 'running', 'running', 'waiting']);

      expect((await fetch(`${exportsOfAnn}/${first}`, { method: 'DELETE' })).status).toBe(204);
      await untilStates(0, 'cancelled', 'running', 'running');
      for (const id of [second, third]) await fetch(`${exportsOfAnn}/${id}`, { method: 'DELETE' });
      await untilStates(2, 'cancelled', 'cancelled', 'cancelled');
    } finally {
      await redis.stop();
    }
  }, 120_000);
});

/** Returns the slots of all limits of concurrent requests. */
async function slotsCountedIn(uri: string): Promise<number> {
  const client = new Redis(uri);
  try {
    const logs = await client.keys('*:{*/exports/*}:*');
    return (await Promise.all(logs.map((key) => client.hlen(key)))).reduce((sum, count) => sum + count, 0);
  } finally {
    client.disconnect();
  }
}

async function clientsCountedIn(uri: string): Promise<number> {
  const client = new Redis(uri);
  try {
    return (await client.keys('*127.0.0.1*')).length;
  } finally {
    client.disconnect();
  }
}

describe('Sample 12-operations', () => {
  interface Tick {
    total: { requests: number };
  }
  interface Snapshot {
    policies: { name: string; limits: { text: string }[] }[];
  }

  /** The events of a console: the state first, then one per second. */
  function eventsIn<Data>(text: string, name: string): Data[] {
    const events = text.matchAll(new RegExp(`^event: ${name}\ndata: (.*)\n\n`, 'gm'));
    return [...events].map(([, data = '']) => JSON.parse(data) as Data);
  }

  const searchLimits = (text: string): unknown[] =>
    eventsIn<Snapshot>(text, 'snapshot').map(
      ({ policies }) => policies.find(({ name }) => name === 'search')?.limits[0]?.text,
    );

  it('shows the traffic of each instance in its console within two seconds', async () => {
    const [one = '', other = ''] = await start('12-operations', { REDIS_URL: redisUrl });
    expect(one).not.toBe(other);
    for (const console of [one, other]) {
      const { text } = await readStream(console, (read) => eventsIn(read, 'tick').length === 2);
      expect(eventsIn<Tick>(text, 'tick').at(-1)?.total.requests).toBeGreaterThan(0);
    }
  });

  it('changes a rule on one instance, and it holds on the other within three seconds', async () => {
    const [, console = '', change = '', search = ''] = await start('12-operations');
    const socket = /redis\+unix:\/\/(\S+\.sock)/.exec(output)?.[1] ?? '';
    expect(await ask(socket, 'PING\r\n')).toBe('+PONG\r\n');

    const amount = async (): Promise<string | undefined> =>
      /"search";q=(\d+)/.exec((await fetch(search)).headers.get('ratelimit-policy') ?? '')?.[1];
    expect(await amount()).toBe('20');
    const put = (limits: string): Promise<Response> => {
      const headers = { 'content-type': 'application/json' };
      return fetch(change, { method: 'PUT', headers, body: JSON.stringify({ limits }) });
    };
    expect((await put('600/fortnight')).status).toBe(400);
    expect((await put('600/minute')).status).toBe(200);
    const { text } = await readStream(console, (read) => searchLimits(read).at(-1) === '600 per minute');
    expect(eventsIn<Tick>(text, 'tick').length).toBeLessThanOrEqual(3);
    expect(await amount()).toBe('600');

    await stop();
    await expect(ask(socket, 'PING\r\n')).rejects.toThrow('ENOENT');
    expect(existsSync(dirname(socket))).toBe(false);
  }, 60_000);

  it('counts in memory without Redis, and tells what to install', async () => {
    const folder = temporaryFolder();
    const [console = '', login = ''] = await start('12-operations', { PATH: '/nowhere', TMPDIR: folder });
    expect(readdirSync(folder)).toEqual([]);
    rmdirSync(folder);
    expect(output).toContain('Redis is not installed, so there is one instance, which counts in memory.');
    const { text } = await readStream(console, (read) => eventsIn(read, 'tick').length === 2);
    expect(eventsIn<Tick>(text, 'tick').at(-1)?.total.requests).toBeGreaterThan(0);
    expect(await statusesOf([login.replace('/login', '/rules')])).toEqual([404]);
  });
});
