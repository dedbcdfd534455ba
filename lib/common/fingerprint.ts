/** The numbers of functions, for every copy of this package (CommonJS next to ES modules). */
interface FunctionNumbers {
  readonly numbers: WeakMap<object, number>;
  last: number;
}

const known = sharedNumbers();

/**
 * Returns a text that is equal for equal values: plain values and lists by content, functions and classes by identity. Equal in
 * every copy of this package, but not in another process.
 */
export function fingerprintOf(value: unknown): string {
  if (typeof value === 'function') return `f${numberOf(value)}`;
  if (Array.isArray(value)) return `[${Array.from(value, fingerprintOf).join()}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([name, part]) => `${JSON.stringify(name)}:${fingerprintOf(part)}`)
      .join()}}`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function numberOf(given: object): number {
  let number = known.numbers.get(given);
  if (number === undefined) {
    number = ++known.last;
    known.numbers.set(given, number);
  }
  return number;
}

function sharedNumbers(): FunctionNumbers {
  const key = Symbol.for('nestjs-limits:functions');
  const holder = globalThis as { [key]?: FunctionNumbers };
  return (holder[key] ??= { numbers: new WeakMap(), last: 0 });
}
