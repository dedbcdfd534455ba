import { expect, it, jest } from '@jest/globals';
import { fingerprintOf } from '../../../lib/common/fingerprint.js';

const one = (): string => 'user';
const other = (): string => 'user';

it('A fingerprint is equal for equal texts, numbers, lists and objects, and for one function', () => {
  expect(fingerprintOf(['a', 1, undefined, { keys: [one] }])).toBe(
    fingerprintOf(['a', 1, undefined, { keys: [one] }]),
  );
});

it('A fingerprint differs for two functions of the same text, for a text and a number, and for a list and its parts', () => {
  const values = [one, other, '1', 1, ['1'], [['1']], ['1', '1'], ['1,"1"'], {}, null, undefined];
  expect(new Set(values.map(fingerprintOf)).size).toBe(values.length);
});

it("A fingerprint is the same in the package's other copy, which numbers no function twice", async () => {
  const ofOne = fingerprintOf(one);
  jest.resetModules();
  const copy = await import('../../../lib/common/fingerprint.js');
  expect(copy.fingerprintOf).not.toBe(fingerprintOf);
  expect(copy.fingerprintOf(one)).toBe(ofOne);
  const late = (): string => '';
  expect(copy.fingerprintOf(late)).not.toBe(ofOne);
  expect(fingerprintOf(late)).toBe(copy.fingerprintOf(late));
});
