import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { type Command, UsageError } from '../../../lib/cli/command.js';
import { COMMANDS } from '../../../lib/cli/commands.js';
import { main } from '../../../lib/cli/main.js';
import { ConfigurationError } from '../../../lib/common/errors.js';
import { TestTerminal } from '../../support/test-terminal.js';

const greet: Command = {
  summary: 'Greets.',
  usage: 'Usage: nestjs-limits greet [--loud]\n',
  run: async (args, terminal) => {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { loud: { type: 'boolean' } },
    });
    const [name] = positionals;
    if (name === undefined) throw new UsageError('No name is given.');
    if (name === 'defect') throw new TypeError('a defect');
    if (name === 'limits') throw new ConfigurationError('This option is wrong.');
    if (name === 'file') await readFile('/no/such/file');
    terminal.stdout.write(values.loud ? `HELLO ${name}\n` : `hello ${name}\n`);
    return name === 'nobody' ? 1 : 0;
  },
};

async function runMain(...args: string[]) {
  const terminal = new TestTerminal();
  const code = await main(args, terminal, {
    greet: async () => greet,
    other: async () => ({ ...greet, summary: 'Does something else.' }),
  });
  return { code, output: terminal.output, errors: terminal.errors };
}

describe('the executable nestjs-limits', () => {
  it('runs the command with the arguments after its name, and returns its exit code', async () => {
    expect(await runMain('greet', 'Ada', '--loud')).toEqual({ code: 0, output: 'HELLO Ada\n', errors: '' });
    expect(await runMain('greet', 'nobody')).toEqual({ code: 1, output: 'hello nobody\n', errors: '' });
  });

  it.each(['--help', '-h'])('lists the commands: %s', async (option) => {
    expect(await runMain(option)).toEqual({
      code: 0,
      errors: '',
      output:
        'Usage: nestjs-limits <command> [options]\n\nCommands:\n  greet  Greets.\n  other  Does something else.\n\n' +
        'nestjs-limits <command> --help describes a command; nestjs-limits --version prints the version.\n',
    });
  });

  it('prints the usage of a command instead of running it, unless --help is an argument', async () => {
    expect(await runMain('greet', 'Ada', '--help')).toEqual({ code: 0, output: greet.usage, errors: '' });
    expect((await runMain('greet', '--', '--help')).output).toBe('hello --help\n');
  });

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await runMain('--version')).toEqual({ code: 0, output: `${version}\n`, errors: '' });
  });

  it.each([
    [[], 'No command is given. Commands: greet, other.'],
    [['great'], 'Unknown command "great". Commands: greet, other.'],
    [['--verbose'], 'Unknown option "--verbose". Commands: greet, other.'],
    [['__proto__'], 'Unknown command "__proto__". Commands: greet, other.'],
    [['a\u001b[31m'], 'Unknown command "a\\u001b[31m". Commands: greet, other.'],
  ])('refuses %j with exit code 2 and names the commands', async (args, message) => {
    expect(await runMain(...args)).toEqual({
      code: 2,
      output: '',
      errors: `nestjs-limits: ${message}\nRun "nestjs-limits --help" for its usage.\n`,
    });
  });

  it('ends with exit code 2 and names wrong arguments of a command', async () => {
    expect(await runMain('greet')).toEqual({
      code: 2,
      output: '',
      errors: 'nestjs-limits greet: No name is given.\nRun "nestjs-limits greet --help" for its usage.\n',
    });
    const { code, errors } = await runMain('greet', '--quiet');
    expect(code).toBe(2);
    expect(errors).toMatch(
      /^nestjs-limits greet: Unknown option '--quiet'\..*\nRun "nestjs-limits greet --help"/,
    );
  });

  it('ends with exit code 2 and the message of an error of the library or of the system', async () => {
    expect(await runMain('greet', 'limits')).toEqual({
      code: 2,
      output: '',
      errors: 'nestjs-limits greet: This option is wrong.\n',
    });
    expect((await runMain('greet', 'file')).errors).toBe(
      "nestjs-limits greet: ENOENT: no such file or directory, open '/no/such/file'\n",
    );
  });

  it('prints the stack of a defect', async () => {
    const { code, errors } = await runMain('greet', 'defect');
    expect(code).toBe(2);
    expect(errors).toMatch(/^nestjs-limits greet: TypeError: a defect\n {4}at /);
  });

  it('has a summary and a usage for each command', async () => {
    for (const [name, load] of Object.entries(COMMANDS)) {
      const command = await load();
      expect(command.summary).toMatch(/^[A-Z].{10,70}\.$/);
      expect(command.usage).toMatch(new RegExp(`^Usage: nestjs-limits ${name} .*\\n[^]*\\n$`));
    }
  });
});
