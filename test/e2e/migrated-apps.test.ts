import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import ts from 'typescript';
import { migrate } from '../../lib/migrate/migrate.js';

const ROOT = process.cwd();
const APPS = join(ROOT, 'test/fixtures/migrate/apps');

// Two processes start for each application.
jest.setTimeout(120_000);

const running: ChildProcess[] = [];
let folder: string;

beforeAll(async () => {
  await mkdir(join(ROOT, 'coverage'), { recursive: true });
  folder = await mkdtemp(join(ROOT, 'coverage', 'migrated-'));
});

afterEach(() => {
  for (const child of running.splice(0)) child.kill();
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** An application in a process whose clock stands still. */
class ComparedApp {
  static async start(path: string): Promise<ComparedApp> {
    const child = spawn(
      process.execPath,
      ['--import', './test/support/typescript.mjs', 'test/support/compared-app.ts', path],
      { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
    );
    running.push(child);
    if (child.stdout !== null)
      for await (const url of createInterface({ input: child.stdout })) return new ComparedApp(child, url);
    throw new Error(`${path} has ended.`);
  }

  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {}

  async advance(ms: number): Promise<void> {
    const moved = once(this.child, 'message');
    this.child.send(ms);
    await moved;
  }

  async answer({ path, headers = {}, query }: Request): Promise<Answer> {
    const response =
      query === undefined
        ? await fetch(this.url + path, { headers })
        : await fetch(`${this.url}/graphql`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...headers },
            body: JSON.stringify({ query }),
          });
    const text = await response.text();
    return { status: response.status, text, fields: fieldsOf(response.headers) };
  }
}

interface Request {
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly query?: string;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly fields: Record<string, string>;
}

function fieldsOf(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => /^(x-ratelimit|retry-after)/.test(name)));
}

/** Writes what the codemod makes of an application. It is migrated whole. */
async function migrated(name: string): Promise<string> {
  const text = await readFile(join(APPS, name), 'utf8');
  const { changed, findings } = migrate(ts, [{ path: name, text }]);
  expect(findings.filter(({ kind }) => kind === 'todo')).toEqual([]);
  const after = changed[0]?.after ?? '';
  expect(after).not.toContain('@nestjs/throttler');
  const path = join(folder, basename(name));
  await writeFile(path, after);
  return path;
}

/** A request and its status, or a number of ms that pass. */
type Step = number | readonly [path: string, status: number, headers?: Record<string, string>];

const get = (path: string, ...statuses: number[]): Step[] => statuses.map((status) => [path, status]);
const by = (headers: Record<string, string>, path: string, ...statuses: number[]): Step[] =>
  statuses.map((status) => [path, status, headers]);

const scenarios: Record<string, readonly Step[]> = {
  '1-literals.ts': [
    ...get('/', 200, 200, 200, 429),
    ...get('/strict', 200, 429),
    ...get('/health', 200, 200, 200, 200, 200),
    ...get('/dogs', 200, 200, 429),
    ...get('/dogs/one', 200, 200, 429),
    9_999,
    ...get('/strict', 429),
    1,
    ...get('/strict', 200, 429),
    49_999,
    ...get('/', 429),
    1,
    ...get('/', 200, 200, 200, 429),
  ],
  '2-config.ts': [
    ...get('/open', 200, 200, 200, 200),
    ...get('/reports', 200, 200, 429),
    ...get('/export', 200, 429),
    5_000,
    ...get('/export', 200, 429),
    ...get('/reports', 429),
    25_000,
    ...get('/reports', 200, 200, 429),
  ],
  '3-named.ts': [
    ...get('/search', 200, 200, 429),
    ...get('/login', 200, 429),
    ...get('/unknown', 200, 200, 429),
    ...get('/bare', 200, 200, 429),
    ...get('/health', 200, 200, 200, 200, 200, 200),
    ...get('/quiet', 200, 200, 200, 200, 429),
    ...get('/quiet/loud', 200, 200, 429),
    ...get('/quiet/skipped', 200, 200, 200),
    1_000,
    ...get('/login', 429),
    ...get('/bare', 200),
  ],
  '4-users.ts': [
    ...get('/', 401, 401, 401, 401),
    ...by({ authorization: 'ann' }, '/', 200, 200, 429),
    ...by({ authorization: 'bob' }, '/', 200, 200, 429),
    ...by({ authorization: 'ann' }, '/one', 200, 429),
    ...by({ authorization: 'bob' }, '/one', 200, 429),
    10_000,
    ...by({ authorization: 'bob' }, '/one', 200),
    ...by({ authorization: 'bob' }, '/', 429),
  ],
  '5-proxies.ts': [
    ...by({ 'cf-connecting-ip': '203.0.113.7' }, '/', 200, 200, 429),
    ...by({ 'cf-connecting-ip': '203.0.113.8' }, '/', 200, 200, 429),
    ...by({ 'x-forwarded-for': '198.51.100.1' }, '/', 200, 200, 429),
    ...by({ 'x-forwarded-for': '198.51.100.2' }, '/', 200),
    20_000,
    ...by({ 'cf-connecting-ip': '203.0.113.7' }, '/', 200),
  ],
  '6-skips.ts': [
    ...get('/', 200, 429),
    ...by({ 'user-agent': 'monitor' }, '/', 200, 200),
    ...by({ 'x-internal': 'yes' }, '/', 200, 200),
    ...get('/', 429),
  ],
  '7-blocks.ts': [
    ...get('/login', 200, 200, 429),
    ...get('/reset', 200, 429),
    ...get('/inherited', 200, 429),
    9_999,
    ...get('/login', 429),
    ...get('/inherited', 429),
    1,
    ...get('/login', 200, 200, 429),
    ...get('/inherited', 200, 429),
    49_999,
    ...get('/reset', 429),
    1,
    ...get('/reset', 200),
  ],
  '9-storage.ts': [
    ...get('/orders', 200, 200, 429),
    ...get('/orders/health', 200, 200, 200),
    ...get('/open', 200, 200, 200, 200),
    9_999,
    ...get('/orders', 429),
    1,
    ...get('/orders', 200, 200, 429),
  ],
};

describe('An application that the codemod has migrated', () => {
  it.each(Object.entries(scenarios))(
    'answers as with the throttler, with the same statuses, fields and bodies: %s',
    async (name, steps) => {
      const [before, after] = await Promise.all([
        ComparedApp.start(join(APPS, name)),
        migrated(name).then((path) => ComparedApp.start(path)),
      ]);
      for (const step of steps) {
        if (typeof step === 'number') {
          await Promise.all([before.advance(step), after.advance(step)]);
          continue;
        }
        const [path, status, headers = {}] = step;
        const theirs = await before.answer({ path, headers });
        const ours = await after.answer({ path, headers });
        expect([path, theirs.status]).toEqual([path, status]);
        expect([path, ours.status, ours.text]).toEqual([path, status, theirs.text]);
        if (status === 200) expect([path, ours.fields]).toEqual([path, theirs.fields]);
        else expect([path, ours.fields]).toEqual([path, expect.objectContaining(waitsIn(theirs.fields))]);
      }
    },
  );

  it('answers GraphQL as with the throttler, with the fields on the HTTP response: 8-graphql.ts', async () => {
    const [before, after] = await Promise.all([
      ComparedApp.start(join(APPS, '8-graphql.ts')),
      migrated('8-graphql.ts').then((path) => ComparedApp.start(path)),
    ]);
    const seen: unknown[] = [];
    for (const query of ['{ book }', '{ book }', '{ book }', '{ author }', '{ author }', '{ book author }']) {
      const theirs = await before.answer({ path: '/graphql', query });
      const ours = await after.answer({ path: '/graphql', query });
      expect([query, outcomeOf(ours)]).toEqual([query, outcomeOf(theirs)]);
      if (!theirs.text.includes('errors')) expect([query, ours.fields]).toEqual([query, theirs.fields]);
      else expect([query, ours.fields]).toEqual([query, expect.objectContaining(waitsIn(theirs.fields))]);
      seen.push(outcomeOf(ours));
    }
    const refused = ['ThrottlerException: Too Many Requests'];
    expect(seen).toEqual([
      { status: 200, data: { book: 'Dune' }, messages: [] },
      { status: 200, data: { book: 'Dune' }, messages: [] },
      { status: 200, data: null, messages: refused },
      { status: 200, data: { author: 'Herbert' }, messages: [] },
      { status: 200, data: null, messages: refused },
      { status: 200, data: null, messages: refused },
    ]);
  });
});

/** The fields of a refusal that the throttler sends for the limit that refused. */
function waitsIn(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name.startsWith('retry-after')));
}

function outcomeOf({ status, text }: Answer): unknown {
  const { data, errors = [] } = JSON.parse(text) as { data: unknown; errors?: { message: string }[] };
  return { status, data, messages: errors.map(({ message }) => message) };
}
