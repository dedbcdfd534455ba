import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { describeValue, messageOf, quote } from '../../../lib/common/describe.js';

/** Throws on every access. */
const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error('Not to be read.');
    },
    getPrototypeOf() {
      throw new Error('Not to be read.');
    },
  },
);

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe('describeValue', () => {
  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    ['a "b"', String.raw`the string "a \"b\""`],
    [String.raw`C:\new`, String.raw`the string "C:\\new"`],
    [1.5, 'the number 1.5'],
    [-0, 'the number 0'],
    [NaN, 'the number NaN'],
    [10n, 'the bigint "10"'],
    [false, 'the boolean false'],
    [Symbol('s'), 'the symbol "Symbol(s)"'],
    [[1], 'an array'],
    [{}, 'an object (Object)'],
    [Object.create(null), 'an object (Object)'],
    [new Map(), 'an object (Map)'],
    [new URL('redis://user:secret@host'), 'an object (URL)'],
    [{ constructor: { name: 'A\nB' } }, String.raw`an object (A\nB)`],
    [{ constructor: 5 }, 'an object (Object)'],
    [{ constructor: { name: Symbol('s') } }, 'an object (Object)'],
    [function key() {}, 'a function (key)'],
    [() => undefined, 'a function (anonymous)'],
    [class Limits {}, 'a function (Limits)'],
    [
      Object.defineProperty(() => 1, 'name', { value: 'n'.repeat(1000) }),
      `a function (${'n'.repeat(57)}...)`,
    ],
  ])('describes %p', (value, description) => {
    expect(describeValue(value)).toBe(description);
  });

  it('describes values that throw when they are inspected', () => {
    class Named {
      static get ['name'](): string {
        throw new Error('Not to be read.');
      }
    }

    expect(describeValue(hostile)).toBe('an object (Object)');
    expect(describeValue(revoked())).toBe('an object (Object)');
    expect(describeValue(Named)).toBe('a function (anonymous)');
    expect(describeValue(new Named())).toBe('an object (Object)');
    expect(describeValue({ toString: hostile, toJSON: hostile })).toBe('an object (Object)');
  });

  it('describes a cyclic value as an object', () => {
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);

    expect(describeValue(cyclic)).toBe('an array');
  });
});

describe('quote', () => {
  it.each([
    ['plain', '"plain"'],
    ['ü 🚀 日本', '"ü 🚀 日本"'],
    ['1\n2\r3\t4\u001b[31m5\u00006\u007f\u0085', String.raw`"1\n2\r3\t4\u001b[31m5\u00006\u007f\u0085"`],
    ['\u2028\u2029', String.raw`"\u2028\u2029"`],
    ['\u202etxt.exe\u2066\u200b\ufeff', String.raw`"\u202etxt.exe\u2066\u200b\ufeff"`],
    ['\u{e0001}', String.raw`"\u{e0001}"`],
    ['\ud800', String.raw`"\ud800"`],
  ])('writes %j on one line', (text, quoted) => {
    expect(quote(text)).toBe(quoted);
  });

  it('quotes 80 characters, or the beginning and the length of a longer text', () => {
    expect(quote('x'.repeat(80))).toBe(`"${'x'.repeat(80)}"`);
    expect(quote('x'.repeat(81))).toBe(`"${'x'.repeat(77)}..." (81 characters)`);
    expect(quote('\n'.repeat(1_000_000))).toBe(`"${String.raw`\n`.repeat(77)}..." (1000000 characters)`);
  });

  it.each([
    ['redis://user:secret@host:6379/0', '"redis://***@host:6379/0"'],
    ['redis://:sec/ret@host', '"redis://***@host"'],
    ['redis://:sec@ret@host', '"redis://***@host"'],
    ['redis://:sec ret@host', '"redis://***@host"'],
    ['redis://secret@host', '"redis://***@host"'],
    ['redis://host:6379', '"redis://host:6379"'],
    ['user@host', '"user@host"'],
    ['a@b://c', '"a@b://c"'],
    [`redis://:${'secret'.repeat(100)}@host`, '"redis://***@host"'],
  ])('quotes %s without credentials', (uri, quoted) => {
    expect(quote(uri)).toBe(quoted);
  });

  it('hides options of a URI that are passwords too', () => {
    expect(quote('redis://host?db=1&password=secret&family=4')).toBe(
      '"redis://host?db=1&password=***&family=4"',
    );
  });
});

describe('messageOf', () => {
  it.each([
    [new Error('Lost.'), 'Lost.'],
    [new TypeError(''), ''],
    ['Lost.', 'Lost.'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
    [Symbol('lost'), 'Symbol(lost)'],
    [runInNewContext('new Error("Lost elsewhere.")'), 'Lost elsewhere.'],
    [{ message: 5 }, 'an object (Object)'],
    [Object.create(null), 'an object (Object)'],
    [new Error('Lost.\nERROR all is well \u001b[2J'), String.raw`Lost.\nERROR all is well \u001b[2J`],
    [new Error(String.raw`Lost "a\nb".`), String.raw`Lost "a\nb".`],
    [
      new Error('No answer of redis://u:secret@one:1 and redis://two:2, says a@b.'),
      'No answer of redis://***@one:1 and redis://two:2, says a@b.',
    ],
    [new Error('x'.repeat(100_000)), `${'x'.repeat(2000)}... (100000 characters)`],
    [() => 1, 'a function (anonymous)'],
  ] as [unknown, string][])('of %# is %j', (thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
  });
  it('describes a thrown value that throws when it is inspected', () => {
    expect(messageOf(hostile)).toBe('an object (Object)');
    expect(messageOf(revoked())).toBe('an object (Object)');
  });
});
