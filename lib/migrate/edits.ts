/** A replacement of a range of a text; an insertion if the range is empty. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The edits of one file. An edit within the range of a larger one is dropped; removals that overlap remove all of it. */
export class Edits {
  readonly #edits: Edit[] = [];
  /** Of all edits, once it is asked for. */
  #code: string | undefined;

  get isEmpty(): boolean {
    return this.#edits.length === 0;
  }

  replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text });
    this.#code = undefined;
  }

  insert(at: number, text: string): void {
    this.replace(at, at, text);
  }

  /** Returns true if a position is in a range that is replaced. */
  covers(position: number): boolean {
    return this.#edits.some(({ start, end }) => start <= position && position < end);
  }

  /** Returns true if the new texts use a name, in code and not in a text such as `'10 per 5 minutes'`. */
  mentions(name: string): boolean {
    this.#code ??= this.#applicable()
      .map(({ text }) => codeIn(text))
      .join('\n');
    return new RegExp(`(?<![\\w$.])${name.replaceAll('$', '\\$')}(?![\\w$])`).test(this.#code);
  }

  /** Applies the edits to the text, with its line ends. */
  apply(text: string): string {
    const lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
    let result = '';
    let position = 0;
    for (const edit of this.#applicable()) {
      result += text.slice(position, edit.start) + edit.text.replaceAll(/\r?\n/g, lineEnd);
      position = edit.end;
    }
    return result + text.slice(position);
  }

  #applicable(): Edit[] {
    const sorted = this.#edits
      .map((edit, order) => ({ edit, order }))
      .sort((a, b) => a.edit.start - b.edit.start || b.edit.end - a.edit.end || a.order - b.order);
    const insertedFirst = sorted.flatMap(({ edit }) => (edit.start === edit.end ? [edit] : []));
    const ranges: Edit[] = [];
    for (const { edit } of sorted) {
      const last = ranges.at(-1);
      if (edit.start === edit.end) continue;
      if (last === undefined || edit.start >= last.end) ranges.push(edit);
      else if (edit.text === '' && edit.end > last.end)
        ranges.push({ start: last.end, end: edit.end, text: '' });
    }
    const open = insertedFirst.filter(
      ({ start }) => !ranges.some((range) => range.start < start && start < range.end),
    );
    return [...open, ...ranges].sort((a, b) => a.start - b.start || a.end - b.end);
  }
}

/** Returns the code of a text without its literals; of templates, what they insert. */
function codeIn(text: string): string {
  // What a template inserts has braces or a template of its own: too much to take apart.
  if (/\$\{[^}]*[`{]/.test(text)) return text;
  return text
    .replaceAll(/`([^`]*)`/g, (_whole, template: string) =>
      [...template.matchAll(/\$\{[^}]*\}/g)].map(([inserted]) => inserted.slice(1)).join(),
    )
    .replaceAll(/'[^'\n]*'|"[^"\n]*"/g, '');
}
