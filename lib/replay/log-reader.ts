import type { Identities, Identity } from './identities.js';
import type { LogEntry, LogFormat } from './log-entry.js';
import { ReorderingWindow, type Timed } from './reordering-window.js';
import type { Key, RequestFilter } from './request-selection.js';

/** A request that counts. */
export interface LoggedRequest extends Timed {
  readonly identity: Identity;
}

/** How to read the lines of a log. */
export interface LogReading {
  /** Creates the format, which keeps state, for one log. */
  readonly format: () => LogFormat;
  readonly filter: RequestFilter;
  readonly key: Key;
  readonly identities: Identities;
}

/** A line that is not a request. */
export interface MalformedLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly reason: string;
  /** The start of the line, as it is in the log: not safe to print. */
  readonly text: string;
}

/** Longest line in characters. Web servers accept requests of some 32 KB. */
const MAX_LINE_LENGTH = 65_536;
/** Malformed lines that are kept as examples. */
const MAX_EXAMPLES = 5;
/** Characters that are kept of each; more than a message shows. */
const EXAMPLE_LENGTH = 200;

/** The numbers of lines that were read, and of those that do not count, by reason. */
export class LineCounts {
  lines = 0;
  malformed = 0;
  /** More than a minute older than an earlier line of their file. */
  outOfOrder = 0;
  /** Without the field that is the key. */
  withoutKey = 0;
  /** Not selected by method and path. */
  notSelected = 0;
  readonly examples: MalformedLine[] = [];

  addMalformed(file: string, line: number, reason: string, text: string): void {
    this.malformed++;
    if (this.examples.length < MAX_EXAMPLES)
      this.examples.push({ file, line, reason, text: text.slice(0, EXAMPLE_LENGTH) });
  }
}

/** Reads one log and returns its requests in batches, in the order of their times. */
export class LogReader {
  readonly #format: LogFormat;
  readonly #window = new ReorderingWindow<LoggedRequest>();
  #line = 0;
  /** The start of a line whose end was not read yet. */
  #rest = '';
  /** True while the end of a line that is too long is skipped. */
  #isSkipping = false;

  constructor(
    private readonly name: string,
    private readonly chunks: AsyncIterable<string>,
    private readonly reading: LogReading,
    private readonly counts: LineCounts,
  ) {
    this.#format = reading.format();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LoggedRequest[]> {
    for await (const chunk of this.chunks) {
      this.#readChunk(chunk);
      yield this.#window.take();
    }
    if (this.#rest !== '') this.#readLine(this.#rest);
    yield this.#window.takeRest();
  }

  #readChunk(chunk: string): void {
    const text = this.#rest + chunk;
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      if (this.#isSkipping) this.#isSkipping = false;
      else this.#readLine(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = this.#isSkipping ? '' : text.slice(start);
    if (this.#rest.length <= MAX_LINE_LENGTH) return;
    this.#readLine(this.#rest);
    this.#rest = '';
    this.#isSkipping = true;
  }

  #readLine(line: string): void {
    this.#line++;
    if (line === '' || line === '\r') return;
    this.counts.lines++;
    const entry =
      line.length > MAX_LINE_LENGTH ? `longer than ${MAX_LINE_LENGTH} characters` : this.#format.read(line);
    if (typeof entry === 'string') this.counts.addMalformed(this.name, this.#line, entry, line);
    else this.#select(entry);
  }

  #select(entry: LogEntry): void {
    const { filter, key, identities } = this.reading;
    if (!filter.selects(entry)) {
      this.counts.notSelected++;
      return;
    }
    const value = key(entry);
    if (value === undefined) this.counts.withoutKey++;
    else if (!this.#window.add({ time: entry.time, identity: identities.get(value) }))
      this.counts.outOfOrder++;
  }
}
