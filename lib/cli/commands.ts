import type { Command } from './command.js';

/** Loads a command when it runs, so that none pays for the modules of another. */
export type CommandTable = Readonly<Record<string, () => Promise<Command>>>;

export const COMMANDS: CommandTable = {
  migrate: async () => (await import('./migrate.command.js')).migrateCommand,
  replay: async () => (await import('./replay.command.js')).replay,
};
