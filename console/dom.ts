/** Returns the element with an id. */
export function byId(id: string): HTMLElement;
export function byId<E extends HTMLElement>(id: string, type: new () => E): E;
export function byId(id: string, type = HTMLElement): HTMLElement {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`The page has no element "${id}".`);
}

/** Creates an element. Children are nodes or texts, never HTML, since names and identities come from clients. */
export function create<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...children);
  return element;
}

/** Sets a text, if it has changed. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Replaces the terms of a list. */
export function setFacts(list: HTMLElement, facts: readonly (readonly [term: string, text: string])[]): void {
  while (list.children.length > facts.length) list.lastElementChild?.remove();
  for (const [index, [term, text]] of facts.entries()) {
    const group = list.children[index] ?? list.appendChild(create('div', '', create('dt'), create('dd')));
    const [name, description] = group.children;
    if (name && description) {
      setText(name, term);
      setText(description, text);
    }
  }
}

/** The rows of a table by key. A row that stays is not created again, so that it keeps the focus. */
export class Rows<Row extends { readonly row: HTMLElement }> {
  readonly #rows = new Map<string, Row>();

  constructor(private readonly body: HTMLElement) {}

  get size(): number {
    return this.#rows.size;
  }

  /** Returns the row of a key, created if it is missing. */
  get(key: string, make: () => Row): Row {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = make();
      this.#rows.set(key, row);
    }
    return row;
  }

  /** Shows the rows of keys in this order, and drops all others. */
  arrange(keys: readonly string[]): void {
    const focused = document.activeElement;
    const kept = new Set(keys);
    for (const [key, { row }] of this.#rows) {
      if (kept.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    for (const [index, key] of keys.entries()) {
      const row = this.#rows.get(key)?.row;
      const place = this.body.children[index] ?? null;
      if (row !== undefined && row !== place) this.body.insertBefore(row, place);
    }
    if (focused !== document.activeElement && focused instanceof HTMLElement && this.body.contains(focused))
      focused.focus();
  }
}
