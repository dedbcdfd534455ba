/** Length of `10/Oct/2026:13:55:36 +0200`. */
export const ACCESS_LOG_TIME_LENGTH = 26;

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const PUNCTUATION = [
  [2, '/'],
  [6, '/'],
  [11, ':'],
  [14, ':'],
  [17, ':'],
  [20, ' '],
] as const;

/**
 * Reads times such as `10/Oct/2026:13:55:36 +0200`. Remembers the last one, since many consecutive
 * lines have the same.
 */
export class AccessLogTimes {
  #text = '';
  #time = NaN;

  /** Returns the time at a position of a line, in epoch ms; NaN if there is none. */
  read(line: string, at: number): number {
    if (this.#text !== '' && line.startsWith(this.#text, at)) return this.#time;
    const time = parseTime(line, at);
    if (!Number.isNaN(time)) {
      this.#text = line.slice(at, at + ACCESS_LOG_TIME_LENGTH);
      this.#time = time;
    }
    return time;
  }
}

function parseTime(line: string, at: number): number {
  if (!PUNCTUATION.every(([offset, mark]) => line[at + offset] === mark)) return NaN;
  const day = digits(line, at, 2);
  const month = MONTHS.indexOf(line.slice(at + 3, at + 6)) / 3;
  const year = digits(line, at + 7, 4);
  const hour = digits(line, at + 12, 2);
  const minute = digits(line, at + 15, 2);
  const second = digits(line, at + 18, 2);
  const offset = digits(line, at + 22, 2) * 60 + digits(line, at + 24, 2);
  const sign = line[at + 21] === '+' ? 1 : line[at + 21] === '-' ? -1 : NaN;
  if (!Number.isInteger(month) || month < 0 || hour > 23 || minute > 59 || second > 60) return NaN;
  const local = Date.UTC(year, month, day, hour, minute, second);
  // A day that the month does not have would be one of the next month.
  if (new Date(Date.UTC(year, month, day)).getUTCDate() !== day) return NaN;
  return local - sign * offset * 60_000;
}

/** Returns the number that decimal digits form; NaN for any other characters. */
function digits(line: string, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) {
    const digit = line.charCodeAt(index) - 48;
    if (!(digit >= 0 && digit <= 9)) return NaN;
    value = value * 10 + digit;
  }
  return value;
}
