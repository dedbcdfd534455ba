import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import { messageOf, quote } from '../common/describe.js';
import { CommandError } from './command.js';

const CHUNK_BYTES = 2 ** 18;

/** A log: a file, compressed if its name ends with `.gz`, or the standard input. */
export class LogFile {
  /** Bytes that were read from the disk, before they are decompressed. */
  bytesRead = 0;

  private constructor(
    readonly name: string,
    /** Bytes; `undefined` for what is not a regular file and can be read only once. */
    readonly size: number | undefined,
    private readonly open: () => Readable,
  ) {}

  /** @throws CommandError if there is no such file, or it is a directory */
  static async find(path: string, stdin: Readable): Promise<LogFile> {
    if (path === '-') return new LogFile('stdin', undefined, () => stdin);
    const status = await stat(path).catch((error: unknown) => {
      throw cannotRead(path, messageOf(error));
    });
    if (status.isDirectory()) throw cannotRead(path, 'it is a directory.');
    if (!status.isFile()) return new LogFile(path, undefined, () => createReadStream(path));
    const { size } = status;
    // Lines that are appended later are left out: several passes have to read the same.
    const options = { highWaterMark: CHUNK_BYTES, ...(size > 0 ? { end: size - 1 } : {}) };
    return new LogFile(path, size, () => createReadStream(path, options));
  }

  /** Reads the file from its start. */
  async *chunks(): AsyncGenerator<string> {
    this.bytesRead = 0;
    const decoder = new StringDecoder('utf8');
    try {
      for await (const chunk of this.#decompress(this.#counted())) yield decoder.write(chunk);
    } catch (error) {
      throw cannotRead(this.name, messageOf(error));
    }
    yield decoder.end();
  }

  async *#counted(): AsyncGenerator<Buffer> {
    for await (const chunk of this.open() as AsyncIterable<Buffer>) {
      this.bytesRead += chunk.length;
      yield chunk;
    }
  }

  #decompress(chunks: AsyncGenerator<Buffer>): AsyncIterable<Buffer> {
    if (!this.name.endsWith('.gz')) return chunks;
    // The reader of the last stream gets the error of any.
    return pipeline(chunks, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined);
  }
}

function cannotRead(path: string, reason: string): CommandError {
  return new CommandError(`Cannot read ${quote(path)}: ${reason}`);
}
