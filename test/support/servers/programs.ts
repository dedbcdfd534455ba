import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The programs that the tests start, with their Debian packages. */
const packages = {
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  memcached: 'memcached',
  etcd: 'etcd-server',
  openssl: 'openssl',
  pgbouncer: 'pgbouncer',
  postgres: 'postgresql',
  'rabbitmq-server': 'rabbitmq-server',
  epmd: 'erlang-base',
  git: 'git',
  'lua5.1': 'lua5.1',
} as const;

/** Returns the path of a program on the PATH, or in the folders where Debian installs PostgreSQL. */
export function findProgram(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  folders.push('/usr/sbin', ...postgresqlFolders());
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The newest version first. */
function postgresqlFolders(): string[] {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) return [];
  return readdirSync(versions)
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => join(versions, version, 'bin'));
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Installs the missing programs if the user is root, or throws with the packages to install. */
export function providePrograms(): void {
  const missing = Object.entries(packages).filter(([program]) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const programs = missing.map(([program]) => program).join(', ');
  const command = installation(missing.map(([, name]) => name));
  if (!canInstall()) {
    throw new Error(
      `The tests run against real servers and programs, and these are not on the PATH: ${programs}. On Debian or Ubuntu: sudo ${command}`,
    );
  }
  install(programs, command);
}

/** Returns the path of Chromium, given by CHROMIUM_BIN or found on the PATH, or installed if the user is root. */
export function provideChromium(): string {
  const named = process.env['CHROMIUM_BIN'];
  if (named && !isExecutable(named)) throw new Error(`CHROMIUM_BIN names no program: ${named}`);
  const given = named || findProgram('chromium');
  if (given !== undefined) return given;
  const command = installation(['chromium']);
  if (!canInstall())
    throw new Error(`Set CHROMIUM_BIN, or put chromium on the PATH. On Debian: sudo ${command}`);
  install('chromium', command);
  const installed = findProgram('chromium');
  if (installed === undefined) throw new Error(`The package has no program chromium: ${command}`);
  return installed;
}

function installation(names: readonly string[]): string {
  return `apt-get install -y --no-install-recommends ${names.join(' ')}`;
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && findProgram('apt-get') !== undefined;
}

function install(programs: string, command: string): void {
  process.stderr.write(`Installing what the tests run against and is not there (${programs}): ${command}\n`);
  withoutStartingServices(() => {
    try {
      aptGet('update', '-qq');
    } catch {
      // A broken source of other packages does not matter. If it is one of these, the installation
      // fails.
    }
    aptGet(...command.split(' ').slice(1));
  });
}

/** Waits while another process installs packages. */
function aptGet(...args: string[]): void {
  execFileSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Prevents Debian's packages from starting servers. */
function withoutStartingServices(run: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return run();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run();
  } finally {
    rmSync(policy);
  }
}
