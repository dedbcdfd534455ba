import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RateLimitError } from 'nestjs-limits';

/**
 * Inputs per property: the number in the environment, or else few enough for every run of the
 * tests.
 */
const ASKED = process.env['FUZZ_RUNS'];

/**
 * Maximum processor time of one input in ms. A regular expression that backtracks exponentially
 * takes minutes.
 */
const MAX_CPU_MS = 2000;
/** Ms after which a property counts as hung: a share for each input, and some to start. */
const SHARE = 500;
const GRACE = 30_000;

/** Matches characters that start a new line in a log, or are invisible in it. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;
/**
 * Maximum length of a message. It quotes up to 80 characters of input, each up to 8 long if
 * escaped, and lists known names.
 */
const MAX_MESSAGE_LENGTH = 2600;

/** Matches messages of the engine for bugs in the library, also inside the library's own errors. */
const OF_THE_ENGINE =
  /Cannot (read propert|convert|destructure|set|mix)|is not (a function|iterable|defined|a constructor)|call stack|Invalid (regular|array|string)/;

/**
 * The error of objects that throw when they are read. The library rethrows it, or quotes its
 * message.
 */
export class ThrownByApplication extends Error {
  override readonly message = 'Thrown by the application.';
}

/**
 * Declares a test that a property holds for many inputs, that none takes long, and that none
 * changes a shared prototype.
 */
export function fuzz<T>(
  sentence: string,
  inputs: fc.Arbitrary<T>,
  property: (input: T) => void | Promise<void>,
  runs = 500,
): void {
  const numRuns = ASKED === undefined ? runs : Number(ASKED);
  const test = async (): Promise<void> => {
    const before = shared();
    let longest = 0;
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        const begin = process.cpuUsage();
        isArmed = true;
        try {
          await property(input);
        } finally {
          isArmed = false;
        }
        const { user, system } = process.cpuUsage(begin);
        longest = Math.max(longest, (user + system) / 1000);
      }),
      { numRuns },
    );
    expect(shared()).toEqual(before);
    expect(longest).toBeLessThan(MAX_CPU_MS);
  };
  it(sentence, test, GRACE + numRuns * SHARE);
}

/** Returns the keys that prototype pollution would change. */
function shared(): unknown[] {
  return [Object.prototype, Array.prototype, Function.prototype, String.prototype, Error.prototype].map(
    (prototype) => Reflect.ownKeys(prototype).map(String),
  );
}

/**
 * Returns the error of the library with which a step refuses its input; `undefined` if it does not.
 * Its message must be a sentence on one short line. Any other error fails the test.
 */
export function refusalOf(step: () => unknown): Error | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return checked(error);
  }
}

/** Returns the error of an asynchronous step, like {@link refusalOf}. */
export async function laterRefusalOf(step: () => Promise<unknown>): Promise<Error | undefined> {
  try {
    await step();
    return undefined;
  } catch (error) {
    return checked(error);
  }
}

function checked(error: unknown): Error | undefined {
  if (error instanceof ThrownByApplication) return error;
  const isOurs = error instanceof RateLimitError || error instanceof RangeError || error instanceof TypeError;
  if (!isOurs || OF_THE_ENGINE.test(error.message) || !error.message.endsWith('.')) throw error;
  if (error.message.length > MAX_MESSAGE_LENGTH || UNSEEN.test(error.message))
    throw new Error(`This message is long, or hides something: ${JSON.stringify(error.message)}`, {
      cause: error,
    });
  return error;
}

/** Generates any text, including lone surrogates and control characters. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  {
    weight: 3,
    arbitrary: fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
      .map((units) => String.fromCharCode(...units)),
  },
);

/** Generates a repeated piece; only a few, since they are slow. */
export function long(pieces: fc.Arbitrary<string>, length = 100_000): fc.Arbitrary<string> {
  return fc
    .tuple(pieces, anyText, fc.constantFrom(200, 2000, length))
    .map(([piece, end, most]) => piece.repeat(Math.ceil(most / (piece.length + 1))) + end);
}

/** Names that objects have by default. */
export const treacherousNames = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'toJSON',
  'then',
  'hasOwnProperty',
  'length',
  'name',
  'message',
);

/** Disables hostile values while fast-check generates and prints them. */
let isArmed = false;

function throwing(): string {
  if (isArmed) throw new ThrownByApplication();
  return 'still';
}

function throwingProxy(target: object): object {
  const traps = ['get', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor'] as const;
  return new Proxy(
    target,
    Object.fromEntries(
      traps.map((trap) => [
        trap,
        (...given: unknown[]): unknown => {
          throwing();
          return Reflect.apply(Reflect[trap], undefined, given);
        },
      ]),
    ),
  );
}

/** Generates values that throw on some or all accesses. */
const hostile: fc.Arbitrary<unknown> = fc
  .constantFrom(
    () => ({ toString: throwing, valueOf: throwing, toJSON: throwing }),
    () => Object.defineProperty({}, 'constructor', { get: throwing }),
    () => Object.defineProperty({}, Symbol.toPrimitive, { get: throwing }),
    () => Object.defineProperty(() => 1, 'name', { get: throwing }),
    () => Object.defineProperty([], 'length', { value: 3 }),
    () => Object.assign(Object.create(null) as object, { a: 1 }),
    () => throwingProxy({ limits: '1/minute' }),
    () => throwingProxy(['1/minute']),
    () => new Proxy({}, {}),
    () => {
      const cyclic: unknown[] = [];
      cyclic.push(cyclic);
      return cyclic;
    },
    () => {
      const cyclic: Record<string, unknown> = {};
      cyclic['self'] = cyclic;
      return cyclic;
    },
    () =>
      JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
    () =>
      new (class Options {
        get limits() {
          return '1/minute';
        }
      })(),
  )
  .map((make) => make());

/** Generates any value. */
export const anything: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      maxDepth: 2,
    }),
  },
  { weight: 2, arbitrary: hostile },
  { weight: 2, arbitrary: anyText },
  { weight: 1, arbitrary: treacherousNames },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      NaN,
      Infinity,
      -0,
      2 ** 53,
      -1,
      0.5,
      Symbol('s'),
      () => 1,
      class {},
      10n ** 40n,
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(100_000), '\u001b[31m\n\u2028\u202e'.repeat(1000)) },
);

/**
 * Generates objects that resemble options: known names with valid or any values, other names, any
 * prototype.
 *
 * @param good valid values of every option
 */
export function nearly(good: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> {
  const names = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...Object.keys(good)) },
    { weight: 1, arbitrary: fc.oneof(anyText, treacherousNames) },
  );
  const entry = names.chain((name) =>
    fc.tuple(
      fc.constant(name),
      fc.oneof(
        { weight: 4, arbitrary: (Object.hasOwn(good, name) ? good[name] : undefined) ?? anything },
        { weight: 1, arbitrary: anything },
      ),
    ),
  );
  const prototypes = fc.constantFrom<object | null>(
    Object.prototype,
    Object.prototype,
    null,
    class Options {}.prototype,
  );
  return fc.tuple(fc.array(entry, { maxLength: 6 }), prototypes).map(([entries, prototype]) => {
    const made = Object.create(prototype) as object;
    for (const [name, value] of entries)
      Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
    return made;
  });
}
