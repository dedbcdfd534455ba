import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The error of a program, with all of its output. */
export class ProgramError extends Error {
  constructor(
    command: string,
    readonly stdout: string,
    stderr: string,
    cause: unknown,
  ) {
    super(`${command} failed:\n${stdout}\n${stderr}`, { cause });
  }
}

/** Runs a program and returns its output. */
export async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  return runWith({}, cwd, program, ...args);
}

/** Runs a program with additional environment variables. */
export async function runWith(
  environment: Readonly<Record<string, string>>,
  cwd: string,
  program: string,
  ...args: string[]
): Promise<string> {
  const env = { ...process.env, ...environment };
  try {
    const { stdout } = await promisify(execFile)(program, args, { cwd, env, maxBuffer: 2 ** 26 });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new ProgramError([program, ...args].join(' '), stdout, stderr, error);
  }
}
