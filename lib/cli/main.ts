import { createRequire } from 'node:module';
import { types } from 'node:util';
import { messageOf, quote } from '../common/describe.js';
import { type Command, CommandError, EXIT, type Terminal, UsageError } from './command.js';
import { type CommandTable, COMMANDS } from './commands.js';

const NAME = 'nestjs-limits';

/**
 * Runs the executable `nestjs-limits` with its arguments and returns the exit code. Never throws: an
 * error becomes a message on stderr.
 */
export async function main(
  args: readonly string[],
  terminal: Terminal,
  commands: CommandTable = COMMANDS,
): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === '--version') {
      terminal.stdout.write(`${packageVersion()}\n`);
      return EXIT.ok;
    }
    if (name === '--help' || name === '-h') {
      terminal.stdout.write(await describeCommands(commands));
      return EXIT.ok;
    }
    const command = await findCommand(name, commands);
    if (asksForHelp(rest)) {
      terminal.stdout.write(command.usage);
      return EXIT.ok;
    }
    return await command.run(rest, terminal);
  } catch (error) {
    terminal.stderr.write(describeError(error, name, commands));
    return EXIT.trouble;
  }
}

async function findCommand(name: string | undefined, commands: CommandTable): Promise<Command> {
  const known = `Commands: ${Object.keys(commands).join(', ')}.`;
  if (name === undefined) throw new UsageError(`No command is given. ${known}`);
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return load();
  const kind = name.startsWith('-') ? 'option' : 'command';
  throw new UsageError(`Unknown ${kind} ${quote(name)}. ${known}`);
}

/** True if `--help` stands among the options; after `--` it is an argument. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
}

async function describeCommands(commands: CommandTable): Promise<string> {
  const entries = Object.entries(commands);
  const width = Math.max(...entries.map(([name]) => name.length));
  const lines = entries.map(async ([name, load]) => `  ${name.padEnd(width)}  ${(await load()).summary}`);
  return [
    `Usage: ${NAME} <command> [options]`,
    '',
    'Commands:',
    ...(await Promise.all(lines)),
    '',
    `${NAME} <command> --help describes a command; ${NAME} --version prints the version.`,
    '',
  ].join('\n');
}

function describeError(error: unknown, name: string | undefined, commands: CommandTable): string {
  const command = name !== undefined && Object.hasOwn(commands, name) ? `${NAME} ${name}` : NAME;
  const code = types.isNativeError(error) && 'code' in error ? String(error.code) : undefined;
  if (error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS_'))
    return `${command}: ${messageOf(error)}\nRun "${command} --help" for its usage.\n`;
  // Errors of the library and of the system (no such file) explain themselves; others are defects.
  const defect = types.isNativeError(error) && code === undefined && !(error instanceof CommandError);
  return `${command}: ${defect ? error.stack : messageOf(error)}\n`;
}

function packageVersion(): string {
  const manifest = createRequire(import.meta.url)('nestjs-limits/package.json') as { version: string };
  return manifest.version;
}
