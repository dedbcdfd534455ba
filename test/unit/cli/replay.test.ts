import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { main } from '../../../lib/cli/main.js';
import { Progress } from '../../../lib/cli/progress.js';
import { formatReport } from '../../../lib/cli/replay-text.js';
import type { ReplayReport } from '../../../lib/replay/report.js';
import { TestTerminal } from '../../support/test-terminal.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nestjs-limits-replay-'));
});

afterEach(() => {
  jest.restoreAllMocks();
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Event {
  /** Seconds. */
  readonly at: number;
  readonly ip: string;
  readonly user?: string;
  readonly method?: string;
  readonly path?: string;
}

const START = Date.UTC(2026, 9, 10, 12);

function lineOf({ at, ip, user = '-', method = 'GET', path = '/' }: Event): string {
  // "Sat, 10 Oct 2026 12:00:00 GMT"
  const [, day, month, year, time] = new Date(START + at * 1000).toUTCString().split(' ');
  return `${ip} - ${user} [${day}/${month}/${year}:${time} +0000] "${method} ${path} HTTP/1.1" 200 5\n`;
}

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** Requests of one address at these seconds. */
function requests(...seconds: number[]): string {
  return seconds.map((at) => lineOf({ at, ip: '192.0.2.1' })).join('');
}

async function replay(input: string | Uint8Array, ...args: string[]) {
  const terminal = new TestTerminal({ input });
  const code = await main(['replay', ...args], terminal);
  return { code, output: terminal.output, errors: terminal.errors };
}

async function report(input: string | Uint8Array, ...args: string[]): Promise<ReplayReport> {
  const { output, errors } = await replay(input, ...args, '--json');
  expect(errors).toBe('');
  return JSON.parse(output) as ReplayReport;
}

async function refused(input: string, ...args: string[]): Promise<number> {
  return (await report(input, '-', ...args)).limit.refused;
}

describe('replay', () => {
  it('reports requests, identities, refusals, changes, the worst identities and a chart', async () => {
    const log = [
      ...Array.from({ length: 6 }, (_, index) => ({ at: index, ip: '192.0.2.1' })),
      ...Array.from({ length: 3 }, (_, index) => ({ at: 10 + index, ip: '192.0.2.2' })),
      { at: 130, ip: '192.0.2.3' },
    ];
    const { code, output, errors } = await replay(
      log.map(lineOf).join(''),
      ...['-', '--limit', '2/minute', '--was', '5/minute'],
    );
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(output).toBe(`10 requests of 3 identities, 2026-10-10 12:00 to 2026-10-10 12:02

                                    refused       identities
2 per 1 minute, fixed-window              5  50%           2  66.67%
5 per 1 minute, fixed-window (was)        1  10%           1  33.33%

newly refused  4  40%  of 2 identities
newly allowed  0   0%  of 0 identities

Refused per minute, at most 5 at 2026-10-10 12:00
5 │█
  │█
  │█
  │█
  │█
  │█
0 └───
   2026-10-10 12:00

Refused per minute (was), at most 1 at 2026-10-10 12:00
5 │
  │
  │
  │
  │▂
  │█
0 └───
   2026-10-10 12:00

worst identities  requests  refused          was refused
192.0.2.1                6        4  66.67%            1
192.0.2.2                3        1  33.33%            0
`);
  });

  it('reports the same as JSON', async () => {
    const log = requests(0, 1, 2, 70);
    expect(await report(log, '-', '--limit', '1/minute', '--was', '2/minute')).toEqual({
      requests: 4,
      identities: 1,
      untrackedRequests: 0,
      from: '2026-10-10T12:00:00.000Z',
      to: '2026-10-10T12:01:10.000Z',
      lines: { read: 4, malformed: 0, outOfOrder: 0, withoutKey: 0, notSelected: 0, examples: [] },
      limit: {
        limits: [{ limit: '1 per 1 minute', refused: 2 }],
        strategy: 'fixed-window',
        refused: 2,
        refusedShare: 0.5,
        refusedIdentities: 1,
        peak: { time: '2026-10-10T12:00:00.000Z', refused: 2 },
        refusedPerMinute: [
          { time: '2026-10-10T12:00:00.000Z', refused: 2 },
          { time: '2026-10-10T12:01:00.000Z', refused: 0 },
        ],
      },
      was: {
        limits: [{ limit: '2 per 1 minute', refused: 1 }],
        strategy: 'fixed-window',
        refused: 1,
        refusedShare: 0.25,
        refusedIdentities: 1,
        peak: { time: '2026-10-10T12:00:00.000Z', refused: 1 },
        refusedPerMinute: [
          { time: '2026-10-10T12:00:00.000Z', refused: 1 },
          { time: '2026-10-10T12:01:00.000Z', refused: 0 },
        ],
      },
      newlyRefused: { requests: 1, share: 0.25, identities: 1 },
      newlyAllowed: { requests: 0, share: 0, identities: 0 },
      worst: [{ identity: '192.0.2.1', requests: 4, refused: 2, wasRefused: 1 }],
    });
  });

  it('counts as a limiter does, request by request: compared with a plain count of 20,000 lines', async () => {
    const random = randomNumbers(7);
    const events = Array.from({ length: 20_000 }, (_, index) => ({
      at: Math.floor(index / 8 + random() * 40),
      ip: `192.0.2.${Math.floor(60 * random() ** 2)}`,
    }));
    const path = await write('generated.log', events.map(lineOf).join(''));
    const inOrder = events
      .map((event, index) => ({ ...event, index }))
      .sort((one, other) => one.at - other.at || one.index - other.index);
    const [was, now] = [plainFixedWindow(inOrder, 30, 60), plainMovingWindow(inOrder, 20, 60)];
    const newlyRefused = inOrder.filter((_, index) => was[index] === true && now[index] === false).length;
    const newlyAllowed = inOrder.filter((_, index) => was[index] === false && now[index] === true).length;
    expect(newlyAllowed).toBeGreaterThan(0);

    expect(
      await report(
        '',
        path,
        '--limit',
        '20/minute',
        '--strategy',
        'moving-window',
        '--was',
        '30/minute',
        '--was-strategy',
        'fixed-window',
      ),
    ).toMatchObject({
      requests: 20_000,
      lines: { outOfOrder: 0 },
      limit: { refused: now.filter((isAllowed) => !isAllowed).length, strategy: 'moving-window' },
      was: { refused: was.filter((isAllowed) => !isAllowed).length },
      newlyRefused: { requests: newlyRefused },
      newlyAllowed: { requests: newlyAllowed },
    });
  });

  it('decides several limits together, and reports what each refused', async () => {
    const { limit } = await report(requests(0, 0, 0, 1, 2, 3), '-', '--limit', '2/second; 3/minute');
    expect(limit.limits).toEqual([
      { limit: '2 per 1 second', refused: 1 },
      { limit: '3 per 1 minute', refused: 2 },
    ]);
    expect(limit.refused).toBe(3);
    const { output } = await replay(requests(0, 0, 0, 1, 2, 3), '-', '--limit', '2/second; 3/minute');
    expect(output).toContain('\n  by 3 per 1 minute                                 2  33.33%\n');
  });

  it('says so if the previous limits refused nothing', async () => {
    const { output } = await replay(requests(0, 1), '-', '--limit', '1/minute', '--was', '2/minute');
    expect(output).toContain('\n\nRefused per minute, at most 1 at 2026-10-10 12:00\n1 │█\n');
    expect(output).toContain('\n\nRefused per minute (was): none\n1 │\n');
  });

  it('lists identities that only the previous limits refused, the most refused first', async () => {
    const log = ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.2', '192.0.2.3']
      .map((ip, at) => lineOf({ at, ip }))
      .join('');
    const { worst } = await report(log, '-', '--limit', '9/minute', '--was', '1/minute');
    expect(worst).toEqual([
      { identity: '192.0.2.2', requests: 3, refused: 0, wasRefused: 2 },
      { identity: '192.0.2.1', requests: 2, refused: 0, wasRefused: 1 },
    ]);
  });

  it('lists identities that were refused as often in the order of their first refusals', async () => {
    const log = ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.1']
      .map((ip, at) => lineOf({ at, ip }))
      .join('');
    expect((await report(log, '-', '--limit', '1/minute')).worst).toEqual([
      { identity: '192.0.2.2', requests: 2, refused: 1 },
      { identity: '192.0.2.1', requests: 2, refused: 1 },
    ]);
  });

  it('shows the first 42 characters of a long identity, and no share above 0 as 0%', async () => {
    const log = [0, 1].map((at) => lineOf({ at, ip: '192.0.2.1', user: 'x'.repeat(46) })).join('');
    const base = await report(log, '-', '--limit', '1/minute', '--key', 'user');
    const text = formatReport({ ...base, requests: 200_000 }, 'UTC');
    expect(text).toContain('\n1 per 1 minute, fixed-window        1  <0.001%           1  100%\n');
    expect(text).toContain(`\n${'x'.repeat(42)}...         2        1  50%\n`);
  });

  it('counts calendar windows in a time zone', async () => {
    // The start is 12:00 UTC: midnight in Auckland is an hour earlier, at 11:00 UTC.
    const log = [-3601, -3600, -1].map((at) => lineOf({ at, ip: '192.0.2.1' })).join('');
    const args = ['--limit', '1/day', '--strategy', 'calendar-window'];
    expect(await refused(log, ...args, '--time-zone', 'Pacific/Auckland')).toBe(1);
    expect(await refused(log, ...args)).toBe(2);
    expect(await refused(log, ...args, '--anchor', '1970-01-01T11:59:59')).toBe(1);
    const { output } = await replay(log, '-', ...args, '--time-zone', 'Pacific/Auckland');
    expect(output).toContain('2026-10-10 23:59 to 2026-10-11 00:59');
  });

  it('gives a token bucket its capacity', async () => {
    const args = ['--limit', '1/minute', '--strategy', 'token-bucket'];
    expect(await refused(requests(0, 0, 0), ...args)).toBe(2);
    expect(await refused(requests(0, 0, 0), ...args, '--burst', '2')).toBe(1);
  });
});

describe('the logs of a replay', () => {
  it('are merged by time, whatever their order, and may be compressed', async () => {
    const first = await write('access.log.2.gz', gzipSync(requests(0, 1)));
    const second = await write('access.log.1', requests(30, 59));
    const third = await write('access.log', requests(60, 61));
    for (const files of [
      [first, second, third],
      [third, second, first],
    ])
      expect(await report('', ...files, '--limit', '3/minute')).toMatchObject({
        requests: 6,
        from: '2026-10-10T12:00:00.000Z',
        to: '2026-10-10T12:01:01.000Z',
        limit: { refused: 1 },
      });
  });

  it('may be the standard input, and JSON lines with named fields', async () => {
    const lines = [0, 1, 2].map((second) =>
      JSON.stringify({
        ts: START + second * 1000,
        req: { method: 'POST', url: '/pay' },
        tenant: { id: second % 2 },
      }),
    );
    const fields = ['time=ts', 'method=req.method', 'path=req.url'].flatMap((field) => ['--field', field]);
    expect(
      await report(
        lines.join('\n'),
        '-',
        '--format',
        'json',
        ...fields,
        '--key',
        'tenant.id',
        '--limit',
        '1/minute',
      ),
    ).toMatchObject({ requests: 3, worst: [{ identity: '0', requests: 2, refused: 1 }] });
  });

  it('are sorted within a minute; older lines are skipped and counted', async () => {
    const log = requests(0, 61, 60, 59, 1, 120, 59, 60);
    expect(await report(log, '-', '--limit', '2/minute')).toMatchObject({
      requests: 7,
      lines: { outOfOrder: 1 },
      limit: { refused: 2 },
    });
  });

  it('are counted by user, or by user and address; lines without a user do not count', async () => {
    const log = [
      { at: 0, ip: '192.0.2.1', user: 'ada' },
      { at: 1, ip: '192.0.2.2', user: 'ada' },
      { at: 2, ip: '192.0.2.2', user: 'ada' },
      { at: 3, ip: '192.0.2.2' },
    ]
      .map(lineOf)
      .join('');
    const byUser = await report(log, '-', '--limit', '1/minute', '--key', 'user');
    expect(byUser).toMatchObject({
      requests: 3,
      identities: 1,
      lines: { withoutKey: 1 },
      limit: { refused: 2 },
    });
    const byBoth = await report(log, '-', '--limit', '1/minute', '--key', 'user', '--key', 'ip');
    expect(byBoth).toMatchObject({ identities: 2, worst: [{ identity: 'ada/192.0.2.2', refused: 1 }] });
  });

  it('count the addresses of an IPv6 network as one', async () => {
    const log = ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1']
      .map((ip, at) => lineOf({ at, ip }))
      .join('');
    expect(await report(log, '-', '--limit', '1/minute')).toMatchObject({
      identities: 2,
      worst: [{ identity: '2001:db8:0:0::/64', requests: 2, refused: 1 }],
    });
  });

  it('count an address as often as it comes, and one that is too long to be an address as it is', async () => {
    const long = `1:${'2'.repeat(120)}`;
    const log = ['2001:db8::9', long, '2001:db8::9', long, long].map((ip, at) => lineOf({ at, ip })).join('');
    expect((await report(log, '-', '--limit', '1/minute')).worst).toEqual([
      { identity: long, requests: 3, refused: 2 },
      { identity: '2001:db8:0:0::/64', requests: 2, refused: 1 },
    ]);
  });

  it('do not match a path with lines that have none', async () => {
    const lines = [undefined, '/a'].map((request_uri) =>
      JSON.stringify({ time: START, remote_addr: '192.0.2.1', request_uri }),
    );
    expect(
      await report(lines.join('\n'), '-', '--format', 'json', '--limit', '1/minute', '--path', '/**'),
    ).toMatchObject({ requests: 1, lines: { notSelected: 1 } });
  });

  it('are filtered by path and method; GET is also HEAD', async () => {
    const log = [
      { at: 0, ip: '192.0.2.1', path: '/api/a?x=/other' },
      { at: 1, ip: '192.0.2.1', path: '/API/%61/', method: 'HEAD' },
      { at: 2, ip: '192.0.2.1', path: '/api/a', method: 'POST' },
      { at: 3, ip: '192.0.2.1', path: '/other?/api/a' },
    ]
      .map(lineOf)
      .join('');
    const select = ['--path', '/api/*', '--method', 'get'];
    expect(await report(log, '-', '--limit', '1/minute', ...select)).toMatchObject({
      requests: 2,
      lines: { notSelected: 2 },
      limit: { refused: 1 },
    });
    expect(
      await report(log, '-', '--limit', '1/minute', ...select, '--method', 'POST', '--path', '/other'),
    ).toMatchObject({
      requests: 4,
    });
  });

  it('show malformed lines with their numbers, cut short and escaped; empty lines do not count', async () => {
    const bad = `\u001b[2Jcleared${'x'.repeat(300)}`;
    const path = await write('bad.log', `${requests(0)}\n${bad}\n${requests(1)}"\n`);
    const { code, output } = await replay('', path, '--limit', '1/minute');
    expect(code).toBe(0);
    expect(output).toContain(`Lines that do not count, of 4:
  2  malformed
  ${path}:3: no request in quotes: "\\u001b[2Jcleared${'x'.repeat(66)}..." (200 characters)
  ${path}:5: no time in brackets before the request: "\\""
`);
    const { lines } = await report('x\n'.repeat(50) + requests(0), '-', '--limit', '1/minute');
    expect(lines).toMatchObject({ read: 51, malformed: 50 });
    expect(lines.examples.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
  });

  it('are escaped in JSON too, with line separators of Unicode', async () => {
    const log = `\u2028\u202ebad\n${requests(0)}`;
    const { output } = await replay(log, '-', '--limit', '1/minute', '--json');
    expect(output).toContain('"text": "\\u2028\\u202ebad"');
  });

  it('may have lines that are longer than memory should hold, and a last line without its end', async () => {
    const path = await write('long.log', `${'x'.repeat(1_000_000)}\n${requests(0)}${requests(1).trimEnd()}`);
    expect(await report('', path, '--limit', '1/minute')).toMatchObject({
      requests: 2,
      lines: { read: 3, malformed: 1, examples: [{ line: 1, reason: 'longer than 65536 characters' }] },
      limit: { refused: 1 },
    });
  });

  it('share counts beyond the maximum of identities', async () => {
    const log = Array.from({ length: 300 }, (_, index) =>
      lineOf({ at: 0, ip: `10.0.${index >> 8}.${index & 255}` }),
    );
    const result = await report(log.join(''), '-', '--limit', '1/minute', '--max-keys', '100');
    expect(result).toMatchObject({ requests: 300, identities: 100, untrackedRequests: 200 });
    expect((await replay(log.join(''), '-', '--limit', '9/minute', '--max-keys', '100')).output).toContain(
      '200 requests of further identities share counts and may be refused too often: raise --max-keys.',
    );
  });
});

describe('the gate of a replay', () => {
  it.each([
    [
      ['--was', '2/minute', '--max-newly-refused', '25%'],
      0,
      'Passed: 25% of the requests are newly refused, at most 25%.',
    ],
    [
      ['--was', '2/minute', '--max-newly-refused', '24.9%'],
      1,
      'Failed: 25% of the requests are newly refused, more than 24.9%.',
    ],
    [['--max-newly-refused', '50%'], 0, 'Passed: 50% of the requests are newly refused, at most 50%.'],
    [['--max-newly-refused', '49%'], 1, 'Failed: 50% of the requests are newly refused, more than 49%.'],
  ])('%j: exit code %i', async (args, code, verdict) => {
    const log = requests(0, 1, 2, 70);
    const result = await replay(log, '-', '--limit', '1/minute', ...args);
    expect(result.code).toBe(code);
    expect(result.output).toContain(`\n\n${verdict}\n`);
    const { gate } = await report(log, '-', '--limit', '1/minute', ...args);
    expect(gate?.passed).toBe(code === 0);
  });

  it('does not pass a log without requests', async () => {
    expect(await replay('', '-', '--limit', '1/minute', '--max-newly-refused', '1%')).toEqual({
      code: 2,
      output: '',
      errors: 'nestjs-limits replay: The logs are empty.\n',
    });
    expect((await replay('x\n', '-', '--limit', '1/minute', '--max-newly-refused', '1%')).errors).toBe(
      'nestjs-limits replay: None of the 1 lines is a request that counts (line 1 of stdin: no request in quotes). ' +
        'Check --format, --key, --path and --method.\n',
    );
    expect((await replay(requests(0, 1), '-', '--limit', '1/minute', '--path', '/none')).errors).toBe(
      'nestjs-limits replay: None of the 2 lines is a request that counts (--path and --method do not select 2). ' +
        'Check --format, --key, --path and --method.\n',
    );
  });
});

describe('the suggestion of a replay', () => {
  it('is the smallest limit that refuses at most the share', async () => {
    const path = await write('suggest.log', requests(...Array.from({ length: 50 }, (_, index) => index)));
    const { output } = await replay('', path, '--limit', '10/minute', '--suggest', '10%');
    expect(output).toContain(
      '\n\nSmallest limit that refuses at most 10%: 45 per 1 minute (10%). 44 per 1 minute refuses 12%.\n',
    );
    const { suggestion } = await report('', path, '--limit', '100/2 minutes', '--suggest', '0%');
    expect(suggestion).toEqual({
      target: 0,
      isReached: true,
      limit: '50 per 2 minute',
      refusedShare: 0,
      below: { limit: '49 per 2 minute', refusedShare: 0.02 },
    });
  });

  it.each(['moving-window', 'token-bucket'])('is found for the strategy %s', async (strategy) => {
    const path = await write('strategy.log', requests(0, 0, 0, 0, 0));
    const args = ['--limit', '1/minute', '--strategy', strategy, '--suggest', '20%'];
    expect((await report('', path, ...args)).suggestion).toEqual({
      target: 0.2,
      isReached: true,
      limit: '4 per 1 minute',
      refusedShare: 0.2,
      below: { limit: '3 per 1 minute', refusedShare: 0.4 },
    });
  });

  it('counts the requests of all identities beyond the maximum, who share counts', async () => {
    const log = Array.from({ length: 300 }, (_, index) =>
      lineOf({ at: 0, ip: `10.0.${index >> 8}.${index & 255}` }),
    );
    const path = await write('beyond.log', log.join(''));
    const args = ['--limit', '1/minute', '--max-keys', '100', '--suggest', '0%'];
    expect((await report('', path, ...args)).suggestion).toMatchObject({ isReached: true, refusedShare: 0 });
  });

  it('says where no amount is enough', async () => {
    const path = await write('bucket.log', requests(0, 0, 0, 0));
    const args = ['--limit', '1/minute', '--strategy', 'token-bucket', '--burst', '1', '--suggest', '1%'];
    expect((await replay('', path, ...args)).output).toContain(
      '\n\nNo amount refuses at most 1%: not below 75%, with 60000 per 1 minute.\n',
    );
  });
});

describe('the arguments of replay', () => {
  it.each([
    [[], 'No log is given. Name files, or "-" for the standard input.'],
    [['-'], "No limit is given. Add one: --limit '100/minute'."],
    [['-', '-', '--limit', '1/minute'], 'The standard input "-" is given twice. It can be read once.'],
    [
      ['-', '--limit', 'ten'],
      '--limit: Cannot read the rate limit "ten": expected a whole number (the amount) at position 0.',
    ],
    [['-', '--limit', '1/minute', '--was', '1/fortnight'], '--was: Cannot read the rate limit "1/fortnight"'],
    [
      ['-', '--limit', '1/minute; 5 concurrent'],
      '--limit: "5 concurrent" limits requests that run at the same time, and a log does not tell when they end.',
    ],
    [['-', '--limit', '1/minute; 2/minute; 1/minute'], '--limit: The limits'],
    [['-', '--limit', '1/minute', '--strategy', 'concurrency'], '--strategy is one of fixed-window, '],
    [['-', '--limit', '1/minute', '--burst', '5'], '--limit: The burst of the limit'],
    [['-', '--limit', '1/minute', '--burst', '1.5'], '--burst is a whole number from 1; got "1.5".'],
    [
      ['-', '--limit', '1/minute', '--was-strategy', 'fixed-window'],
      '--was-strategy and --was-burst belong to --was, which is not given.',
    ],
    [
      ['-', '--limit', '1/minute', '--time-zone', 'Mars'],
      '--time-zone: It must be the name of an IANA time zone',
    ],
    [['-', '--limit', '1/minute', '--anchor', 'noon'], '--anchor: It must be a local date'],
    [
      ['-', '--limit', '1/minute', '--format', 'xml'],
      '--format is one of combined, common, json; got "xml".',
    ],
    [
      ['-', '--limit', '1/minute', '--field', 'ip=a'],
      '--field names fields of JSON lines: add --format json.',
    ],
    [
      ['-', '--limit', '1/minute', '--format', 'json', '--field', 'host=a'],
      '--field is time, ip, user, method, path, "="',
    ],
    [
      ['-', '--limit', '1/minute', '--format', 'json', '--field', 'ip'],
      '--field is time, ip, user, method, path, "=" and a field of the log, such as ip=client.address; got "ip".',
    ],
    [
      ['-', '--limit', '1/minute', '--key', 'tenant'],
      '--key is ip or user, or with --format json a field of the log; got "tenant".',
    ],
    [['-', '--limit', '1/minute', '--path', 'api'], '--path: A path begins with "/"'],
    [
      ['-', '--limit', '1/minute', '--method', 'GET,POST'],
      '--method is a method such as GET; repeat the option for several. Got "GET,POST".',
    ],
    [['-', '--limit', '1/minute', '--max-keys', '0'], '--max-keys is a whole number from 1; got "0".'],
    [
      ['-', '--limit', '1/minute', '--suggest', '0.1'],
      '--suggest is a percentage from 0% to 100%, such as 0.5%; got "0.1".',
    ],
    [
      ['-', '--limit', '1/minute', '--max-newly-refused', '101%'],
      '--max-newly-refused is a percentage from 0% to 100%',
    ],
    [
      ['-', '--limit', '1/minute; 1/hour', '--suggest', '1%'],
      '--suggest finds the amount of one limit, and --limit has several.',
    ],
    [
      ['-', '--limit', '1/minute', '--suggest', '1%'],
      '--suggest reads the logs several times, and stdin is not a file. Write it to a file first.',
    ],
    [
      ['/dev/null', '--limit', '1/minute', '--suggest', '1%'],
      '--suggest reads the logs several times, and /dev/null is not a file. Write it to a file first.',
    ],
    [['-', '--limits', '1/minute'], "Unknown option '--limits'"],
  ])('%j: exit code 2, with the option and what is wrong', async (args, message) => {
    const { code, output, errors } = await replay(requests(0), ...args);
    expect([code, output]).toEqual([2, '']);
    expect(errors.slice(0, 'nestjs-limits replay: '.length + message.length)).toBe(
      `nestjs-limits replay: ${message}`,
    );
    expect(errors).toMatch(/\nRun "nestjs-limits replay --help" for its usage\.\n$/);
  });

  it.each([
    ['missing.log', /^nestjs-limits replay: Cannot read ".*missing\.log": ENOENT: .*\n$/],
    ['.', /^nestjs-limits replay: Cannot read ".*": it is a directory\.\n$/],
    ['truncated.gz', /^nestjs-limits replay: Cannot read ".*truncated\.gz": unexpected end of file\n$/],
    ['plain.gz', /^nestjs-limits replay: Cannot read ".*plain\.gz": incorrect header check\n$/],
  ])('name a file that cannot be read: %s', async (name, message) => {
    await write('truncated.gz', gzipSync(requests(0, 1, 2)).subarray(0, 60));
    await write('plain.gz', requests(0));
    const { code, errors } = await replay('', join(folder, name), '--limit', '1/minute');
    expect(code).toBe(2);
    expect(errors).toMatch(message);
  });

  it.each(['empty.log', '/dev/null'])('say that a log is empty: %s', async (name) => {
    await write('empty.log', '');
    expect(await replay('', resolve(folder, name), '--limit', '1/minute')).toEqual({
      code: 2,
      output: '',
      errors: 'nestjs-limits replay: The logs are empty.\n',
    });
  });
});

describe('the progress of a replay', () => {
  it('is shown on a terminal, and removed at the end', async () => {
    const path = await write('progress.log', requests(0, 1));
    const terminal = new TestTerminal({ stderr: { isTTY: true, columns: 60 } });
    expect(await main(['replay', path, '--limit', '1/minute'], terminal)).toBe(0);
    expect(terminal.errors).toBe('\r\u001b[K2 lines, 100%\r\u001b[K');
  });

  it('has no percentage for the standard input, whose length is unknown', async () => {
    const terminal = new TestTerminal({ input: requests(0, 1), stderr: { isTTY: true } });
    expect(await main(['replay', '-', '--limit', '1/minute'], terminal)).toBe(0);
    expect(terminal.errors).toBe('\r\u001b[K2 lines\r\u001b[K');
  });

  it('is shown again after a quarter of a second, on one line', () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(1000);
    const terminal = new TestTerminal({ stderr: { isTTY: true } });
    const progress = new Progress(terminal.stderr, () => `${now.mock.calls.length}${'x'.repeat(100)}`);
    progress.update();
    now.mockReturnValue(1249);
    progress.update();
    now.mockReturnValue(1250);
    progress.update();
    expect(terminal.errors).toBe(`\r\u001b[K1${'x'.repeat(78)}\r\u001b[K3${'x'.repeat(78)}`);
  });

  it('is not shown elsewhere', async () => {
    expect((await replay(requests(0), '-', '--limit', '1/minute')).errors).toBe('');
  });
});

function plainFixedWindow(events: readonly Event[], amount: number, seconds: number): boolean[] {
  const windows = new Map<string, { start: number; count: number }>();
  return events.map(({ at, ip }) => {
    const open = windows.get(ip);
    const window = open !== undefined && at < open.start + seconds ? open : { start: at, count: 0 };
    windows.set(ip, window);
    return window.count++ < amount;
  });
}

function plainMovingWindow(events: readonly Event[], amount: number, seconds: number): boolean[] {
  const logs = new Map<string, number[]>();
  return events.map(({ at, ip }) => {
    const log = (logs.get(ip) ?? []).filter((time) => time > at - seconds);
    const isAllowed = log.length < amount;
    logs.set(ip, isAllowed ? [...log, at] : log);
    return isAllowed;
  });
}

function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}
