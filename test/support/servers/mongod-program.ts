import { findProgram, isExecutable } from './programs.js';

/** The version that is downloaded if there is no other. */
const VERSION = '7.0.15';

/** Timeout of the download of 100 MB, so that a dead network cannot block the tests. */
const CONNECT_GRACE_MS = 300_000;

/** The mongod that MONGOD_BIN names, else the one on the PATH. */
export function findMongod(): string | undefined {
  const named = process.env['MONGOD_BIN'];
  if (!named) return findProgram('mongod');
  if (!isExecutable(named)) throw new Error(`MONGOD_BIN names no program: ${named}`);
  return named;
}

/** Downloads a mongod once and returns its path. Rejects if it is not available. */
export async function downloadMongod(): Promise<string> {
  const { MongoBinary } = await import('mongodb-memory-server-core');
  let timer: NodeJS.Timeout | undefined;
  const givenUp = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the download took more than ${CONNECT_GRACE_MS} ms`)),
      CONNECT_GRACE_MS,
    );
  });
  try {
    return await Promise.race([MongoBinary.getPath({ version: VERSION }), givenUp]);
  } finally {
    clearTimeout(timer);
  }
}
