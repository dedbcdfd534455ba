import { deepEqual } from 'node:assert/strict';
import { RateLimitItemPerHour } from '../../../notation/rate-limit-items.js';
import type { Limit } from '../../../core/limit.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf, type Scenario } from '../scenario.js';

const topic = new CasesOf('keys');
const once = limitOf('fixed-window', { amount: 1, period: HOUR });

/** Identities that a faulty storage could mix up. */
const identities: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'slashes and their encoding': [
    ['a/b'],
    ['a', 'b'],
    ['a%2Fb'],
    ['a%2fb'],
    ['a%252Fb'],
    ['a', '', 'b'],
    ['a', 'b', ''],
  ],
  'white space and line breaks': [
    ['a b'],
    ['ab'],
    [' ab'],
    ['ab '],
    ['a\tb'],
    ['a\nb'],
    ['a\rb'],
    ['a\r\nb'],
    ['a\u00a0b'],
  ],
  'control characters': [['a\0'], ['a'], ['a\u0001'], ['a\u007f'], ['a%00'], ['\0'], ['']],
  Unicode: [
    ['é'],
    ['e\u0301'],
    ['e'],
    ['É'],
    ['ё'],
    ['日本'],
    ['日本語'],
    ['😀'],
    ['😁'],
    ['\u2028'],
    ['\ufeffa'],
    ['ﬁ'],
    ['fi'],
  ],
  'upper and lower case': [['user'], ['User'], ['USER']],
  'braces, brackets and percent signs': [
    ['{a}'],
    ['{b}'],
    ['{}'],
    ['a}b{'],
    ['[a]'],
    ['[ab]'],
    ['%'],
    ['%%'],
    ['%7Ba%7D'],
    ['$a'],
    ['.a.b'],
  ],
  'characters with a meaning in a store': [
    ['*'],
    ['?'],
    ['a*'],
    ['a:b'],
    ['a\\*'],
    ["a'b"],
    ['a"b'],
    ['a;b'],
    ['$where'],
    ['__proto__'],
    ['constructor'],
    ['-1'],
    ['1'],
    ['01'],
    ['1e0'],
  ],
  'long identifiers that differ at the end': [
    long(300, 'a'),
    long(300, 'b'),
    long(301, 'a'),
    long(4096, 'a'),
    long(4096, 'b'),
    long(4097, 'a'),
  ],
  'long identifiers of several bytes per character': [
    long(300, 'ä', '日'),
    long(300, 'ö', '日'),
    long(4096, 'ä', '日'),
    long(4096, 'ö', '日'),
  ],
};

for (const [kind, spellings] of Object.entries(identities)) {
  topic.add(`keeps identities apart that differ in ${kind}`, ['fixed-window'], async (scenario) => {
    const hour = new RateLimitItemPerHour(1);
    const identities = spellings.map((identifiers) => hour.identityFor(identifiers));
    deepEqual(
      await hitEach(scenario, identities),
      Object.fromEntries(identities.map((identity) => [identity, true])),
    );
    deepEqual(
      await hitEach(scenario, identities),
      Object.fromEntries(identities.map((identity) => [identity, false])),
    );
  });
}

topic.add('keeps limits of one identity apart, for any ids', ['fixed-window'], async (scenario) => {
  const ids = [
    'a',
    'A',
    'a ',
    '',
    '0',
    '00',
    'a.b',
    '$a',
    'a!',
    '__proto__',
    'constructor',
    'é',
    'x'.repeat(300),
  ];
  const limits = ids.map((id) => limitOf('fixed-window', { id, amount: 1, period: HOUR }));
  for (const limit of limits) {
    deepEqual(
      { id: limit.id, allowed: (await scenario.hit(limit)).allowed },
      { id: limit.id, allowed: true },
    );
  }
  deepEqual(
    await scenario.leftOf(limits),
    ids.map(() => 0),
  );
});

topic.addPerStrategy('counts each identity separately', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3, 'conformance/spent');
  deepEqual(await scenario.left(limit, 'conformance/fresh'), 3);
  await scenario.hit(limit, 1, 'conformance/fresh');
  deepEqual(await scenario.left(limit, 'conformance/fresh'), 2);
  deepEqual(await scenario.left(limit, 'conformance/spent'), 0);
});

topic.addPerStrategy(
  'limits with the same id share what was consumed, whatever their amounts',
  async (scenario, strategy) => {
    const plan = (amount: number): Limit => limitOf(strategy, { id: 'plan', amount, period: HOUR });
    await scenario.hit(plan(5), 3);
    deepEqual(await scenario.left(plan(10)), 7);
    deepEqual(await scenario.left(plan(2)), 0);
    await scenario.hit(plan(10), 4);
    deepEqual(await scenario.left(plan(10)), 3);
    deepEqual(await scenario.left(plan(5)), 0);
  },
);

async function hitEach(scenario: Scenario, identities: readonly string[]): Promise<Record<string, boolean>> {
  const results = await Promise.all(
    identities.map(async (identity) => {
      const { allowed } = await scenario.consume(hitsOn([once], 1, identity));
      return [identity, allowed] as const;
    }),
  );
  return Object.fromEntries(results);
}

function long(length: number, last: string, filling = 'x'): string[] {
  return [filling.repeat(length - 1) + last];
}

export const keysCases = topic.cases;
