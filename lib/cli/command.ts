import type { Readable } from 'node:stream';

/** A stream of text for the user. */
export interface Output {
  write(text: string): unknown;
  /** True if the text appears on a terminal, so that a line can be rewritten. */
  readonly isTTY?: boolean | undefined;
  /** Width of the terminal in characters. */
  readonly columns?: number | undefined;
}

/** The streams of a command. `process` is one; tests pass their own. */
export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
}

/**
 * Exit codes. `failed`: the command ran, and its check failed. `trouble`: it could not run, because of
 * wrong arguments or an unreadable file.
 */
export const EXIT = { ok: 0, failed: 1, trouble: 2 } as const;

/** A command of the executable `nestjs-limits`. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** The text of `nestjs-limits <command> --help`. */
  readonly usage: string;
  /**
   * Runs the command with the arguments after its name and returns the exit code. Throws a
   * `UsageError` for wrong arguments; errors of `parseArgs` count as such.
   */
  run(args: string[], terminal: Terminal): Promise<number>;
}

/** A command cannot run, for a reason that its message explains: exit code 2. */
export class CommandError extends Error {}

/** Wrong arguments: exit code 2, with a pointer to `--help`. */
export class UsageError extends CommandError {}
