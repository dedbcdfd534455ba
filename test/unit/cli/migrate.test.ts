import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { main } from '../../../lib/cli/main.js';
import { describeWith } from '../../support/describe-with.js';
import { TestTerminal } from '../../support/test-terminal.js';

const APP = `import { Module } from '@nestjs/common';
import { ThrottlerModule } from '@nestjs/throttler';

@Module({ imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 10 }])] })
export class AppModule {}
`;
const MIGRATED = `import { Module } from '@nestjs/common';
import { RateLimitModule, throttlerCompatible } from 'nestjs-limits';

@Module({ imports: [RateLimitModule.forRoot({ ...throttlerCompatible(), guard: false, limits: [{ limits: '10/minute', scope: 'route' }] })] })
export class AppModule {}
`;
const SERVICE = `import { ThrottlerException } from '@nestjs/throttler';

export function refuse(): never {
  throw new ThrottlerException();
}
`;
const GUARD = `import { Injectable } from '@nestjs/common';
import { ThrottlerGuard } from '@nestjs/throttler';

@Injectable()
export class PlainThrottlerGuard extends ThrottlerGuard {}
`;
const UNBOUND =
  '  src/app.module.ts:4  no guard of the throttler was bound, so nothing was limited; remove "guard: false" to limit\n';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nestjs-limits-migrate-'));
  put('src/app.module.ts', APP);
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function read(path: string): string {
  return readFileSync(join(folder, path), 'utf8');
}

function installTypeScript(): void {
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(join(process.cwd(), 'node_modules/typescript'), join(folder, 'node_modules/typescript'));
}

function git(...args: string[]): void {
  execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...args], {
    cwd: folder,
    stdio: 'ignore',
  });
}

async function run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
  const terminal = new TestTerminal();
  const code = await main(['migrate', ...args], terminal);
  return { code, output: terminal.output, errors: terminal.errors };
}

describe('nestjs-limits migrate', () => {
  it('prints a diff and a report, and changes nothing', async () => {
    installTypeScript();
    put('node_modules/other/index.ts', APP);
    put('dist/app.module.ts', APP);
    put('src/types.d.ts', APP);
    expect(await run(folder)).toEqual({
      code: 0,
      errors: '',
      output: `--- src/app.module.ts
+++ src/app.module.ts
@@ -1,5 +1,5 @@
 import { Module } from '@nestjs/common';
-import { ThrottlerModule } from '@nestjs/throttler';
+import { RateLimitModule, throttlerCompatible } from 'nestjs-limits';
 
-@Module({ imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 10 }])] })
+@Module({ imports: [RateLimitModule.forRoot({ ...throttlerCompatible(), guard: false, limits: [{ limits: '10/minute', scope: 'route' }] })] })
 export class AppModule {}
1 files use @nestjs/throttler: 1 are migrated whole, 0 have something left by hand.

Changed, and worth a look:
${UNBOUND}
1 files would change. Add --write to change them.
`,
    });
    expect(read('src/app.module.ts')).toBe(APP);
  });

  it('writes the files with --write, removes those that would be empty, and lists what is left', async () => {
    installTypeScript();
    put('src/service.ts', SERVICE);
    put('src/guard.ts', GUARD);
    expect(await run(folder, '--write')).toEqual({
      code: 0,
      errors: '',
      output: `3 files use @nestjs/throttler: 2 are migrated whole, 1 have something left by hand.

Changed, and worth a look:
${UNBOUND}
Left as it is:
  src/service.ts:4  a refusal of your own: throw new HttpException(message, 429), or let a limit refuse

3 files changed. Format them, and run your tests.
`,
    });
    expect(read('src/app.module.ts')).toBe(MIGRATED);
    expect(existsSync(join(folder, 'src/guard.ts'))).toBe(false);
    expect(read('src/service.ts').split('\n')[3]).toBe(
      '  // TODO(nestjs-limits): a refusal of your own: throw new HttpException(message, 429), or let a limit refuse',
    );
  });

  it('says that nothing changes in a second run', async () => {
    installTypeScript();
    await run(folder, '--write');
    expect((await run(folder, '--write')).output).toBe(
      '0 files use @nestjs/throttler: 0 are migrated whole, 0 have something left by hand.\n\nNothing to change.\n',
    );
  });

  it('tells what to install if the application has no TypeScript', async () => {
    expect(await run(folder)).toEqual({
      code: 2,
      output: '',
      errors: `nestjs-limits migrate: The codemod uses the TypeScript of the application, which has none. Run "npm install --save-dev typescript@5" in ${folder} and try again.
`,
    });
  });

  it('tells what to install if the TypeScript of the application cannot parse files', async () => {
    put('node_modules/typescript/index.js', 'module.exports = { version: "7.0.0" };');
    expect((await run(folder)).errors).toContain(
      'The TypeScript of the application, version 7.0.0, has no API to parse files. Run "npm install --save-dev typescript@5"',
    );
  });

  it('takes one folder', async () => {
    expect((await run(join(folder, 'none'))).errors).toContain(`${join(folder, 'none')} is not a folder.`);
    expect((await run(folder, folder)).errors).toContain('Give one folder.');
    expect((await run(folder, '--wirte')).code).toBe(2);
  });
});

describeWith('git', 'nestjs-limits migrate in a git repository', () => {
  it('refuses to write over changes that are not committed, unless it is forced', async () => {
    installTypeScript();
    put('.gitignore', 'node_modules\n');
    git('init');
    git('add', '-A');
    git('commit', '-m', 'Start');
    put('src/service.ts', SERVICE);
    const { code, errors } = await run(folder, '--write');
    expect(code).toBe(2);
    expect(errors).toBe(
      `nestjs-limits migrate: The git working tree of ${folder} has changes that are not committed. Commit or stash them, so that you can review those of the codemod, or add --force.\n`,
    );
    expect(read('src/app.module.ts')).toBe(APP);
    expect((await run(folder)).code).toBe(0);
    expect((await run(folder, '--write', '--force')).code).toBe(0);
    expect(read('src/app.module.ts')).toBe(MIGRATED);
  });

  it('writes into a clean working tree', async () => {
    installTypeScript();
    put('.gitignore', 'node_modules\n');
    git('init');
    git('add', '-A');
    git('commit', '-m', 'Start');
    expect((await run(folder, '--write')).code).toBe(0);
    expect(read('src/app.module.ts')).toBe(MIGRATED);
  });
});
