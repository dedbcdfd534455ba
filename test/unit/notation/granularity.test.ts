import { expect, it } from '@jest/globals';
import { unitsOf } from '../../../lib/notation/granularity.js';

it('A granularity is spelt in the singular, in the plural and in its other ways', () => {
  expect(unitsOf({ name: 'moon', milliseconds: 1 })).toEqual(['moon', 'moons']);
  expect(unitsOf({ name: 'moon', milliseconds: 1, aliases: ['lunation'] })).toEqual([
    'moon',
    'moons',
    'lunation',
  ]);
});
