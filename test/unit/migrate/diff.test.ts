import { describe, expect, it } from '@jest/globals';
import { unifiedDiff } from '../../../lib/migrate/diff.js';

const lines = (...texts: string[]): string => `${texts.join('\n')}\n`;

describe('the diff of the codemod', () => {
  it('shows each change with three lines around it, and leaves out the others', () => {
    const before = ['a', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'z'];
    const after = ['A', ...before.slice(1, -1), 'y', 'z'];
    expect(unifiedDiff('src/a.ts', lines(...before), lines(...after))).toBe(
      lines(
        '--- src/a.ts',
        '+++ src/a.ts',
        '@@ -1,4 +1,4 @@',
        '-a',
        '+A',
        ' 1',
        ' 2',
        ' 3',
        '@@ -8,4 +8,5 @@',
        ' 7',
        ' 8',
        ' 9',
        '+y',
        ' z',
      ),
    );
  });

  it('finds lines that stay between others that go and come', () => {
    expect(unifiedDiff('a.ts', lines('a', 'x', 'b', 'c'), lines('x', 'd', 'c', 'e'))).toBe(
      lines('--- a.ts', '+++ a.ts', '@@ -1,4 +1,4 @@', '-a', ' x', '-b', '+d', ' c', '+e'),
    );
  });

  it('shows a file that is removed as going to /dev/null', () => {
    expect(unifiedDiff('a.ts', lines('a', 'b'), undefined)).toBe(
      lines('--- a.ts', '+++ /dev/null', '@@ -1,2 +1,0 @@', '-a', '-b'),
    );
  });
});
