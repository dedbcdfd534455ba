import { Readable } from 'node:stream';
import type { Output, Terminal } from '../../lib/cli/command.js';

/** A terminal that keeps what a command writes. */
export class TestTerminal implements Terminal {
  output = '';
  errors = '';
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;

  constructor(
    options: { input?: string | Uint8Array; stdout?: Partial<Output>; stderr?: Partial<Output> } = {},
  ) {
    this.stdin = Readable.from([Buffer.from(options.input ?? '')]);
    this.stdout = { ...options.stdout, write: (text) => (this.output += text) };
    this.stderr = { ...options.stderr, write: (text) => (this.errors += text) };
  }
}
