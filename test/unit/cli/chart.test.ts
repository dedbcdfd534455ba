import { describe, expect, it } from '@jest/globals';
import { drawChart } from '../../../lib/cli/chart.js';

function bars(...values: number[]) {
  return values.map((value, index) => ({ label: `t${index}`, value }));
}

describe('a chart', () => {
  it('draws eighths of a row, with the highest value and the first and the last label', () => {
    expect(drawChart(bars(0, 1, 24, 48, 1200), 40, 1200)).toEqual([
      '1,200 │    █',
      '      │    █',
      '      │    █',
      '      │    █',
      '      │    █',
      '      │ ▁▁▂█',
      '    0 └─────',
      '       t0 t4',
    ]);
  });

  it('shows the highest of several bars in a column if there are too many', () => {
    expect(drawChart(bars(0, 0, 8, 0, 1, 0, 0), 7, 8).slice(-3)).toEqual(['  │ █▆', '0 └────', '   t0']);
  });

  it('has no columns and labels without bars', () => {
    expect(drawChart([], 7, 8)).toEqual(['8 │', '  │', '  │', '  │', '  │', '  │', '0 └', '   ']);
  });
});
