const CONTEXT_LINES = 3;

type Line = readonly [mark: ' ' | '-' | '+', text: string];

/** Returns the unified diff of two versions of a file. */
export function unifiedDiff(path: string, before: string, after: string | undefined): string {
  const lines = compare(linesOf(before), after === undefined ? [] : linesOf(after));
  const shown = lines.map((_line, index) =>
    lines.slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1).some(([mark]) => mark !== ' '),
  );
  const hunks: string[] = [];
  let [oldLine, newLine] = [1, 1];
  for (let start = 0; start < lines.length;) {
    let end = start;
    while (end < lines.length && shown[end] === shown[start]) end++;
    const part = lines.slice(start, end);
    const removed = part.filter(([mark]) => mark !== '+').length;
    const added = part.filter(([mark]) => mark !== '-').length;
    if (shown[start] === true)
      hunks.push(
        `@@ -${oldLine},${removed} +${newLine},${added} @@`,
        ...part.map(([mark, text]) => mark + text),
      );
    oldLine += removed;
    newLine += added;
    start = end;
  }
  return [`--- ${path}`, `+++ ${after === undefined ? '/dev/null' : path}`, ...hunks, ''].join('\n');
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** Finds a longest common sequence of lines, between those that both begin and end with. */
function compare(before: readonly string[], after: readonly string[]): Line[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  )
    tail++;
  const same = (texts: readonly string[]): Line[] => texts.map((text) => [' ', text]);
  return [
    ...same(before.slice(0, head)),
    ...compareMiddle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...same(before.slice(before.length - tail)),
  ];
}

function compareMiddle(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const lengths = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [old, fresh] = [before[i], after[j]];
    if (old !== undefined && old === fresh) {
      lines.push([' ', old]);
      i++;
      j++;
    } else if (old !== undefined && (fresh === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(['-', old]);
      i++;
    } else if (fresh !== undefined) {
      lines.push(['+', fresh]);
      j++;
    }
  }
  return lines;
}
