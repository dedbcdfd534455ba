import { expect, it } from '@jest/globals';
import { unitsOf } from '../../../lib/notation/granularity.js';

it('A granularity has a singular, a plural and aliases', () => {
  expect(unitsOf({ name: 'moon', milliseconds: 1 })).toEqual(['moon', 'moons']);
  expect(unitsOf({ name: 'moon', milliseconds: 1, aliases: ['lunation'] })).toEqual([
    'moon',
    'moons',
    'lunation',
  ]);
});
