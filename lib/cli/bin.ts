#!/usr/bin/env node
import { main } from './main.js';

// Ends quietly when the reader has closed the pipe, as in `nestjs-limits … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await main(process.argv.slice(2), process);
