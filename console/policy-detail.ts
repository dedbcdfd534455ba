import type { PolicyMessage, PolicyView } from '../lib/nest/console/console-messages.js';
import { Chart } from './charts.js';
import { byId, create, Rows, setFacts, setText } from './dom.js';
import { formatCount, formatShare } from './format.js';
import { IdentityPanel } from './identity-panel.js';
import { openStream } from './live.js';
import { describeLimits, type ShownPolicy } from './policy-table.js';

interface FigureRow {
  readonly row: HTMLElement;
  readonly cells: readonly HTMLElement[];
}

/** The selected policy: its declaration, its chart, the limits and identities of its refusals. */
export class PolicyDetail {
  readonly #section = byId('policy');
  readonly #chart = new Chart(byId('policy-chart'), byId('policy-legend'), 'The policy');
  readonly #limits = new Rows<FigureRow>(bodyOf('limits'));
  readonly #identities = new Rows<FigureRow>(bodyOf('identities'));
  readonly #panel = new IdentityPanel();
  #stream: EventSource | undefined;
  #selected: PolicyView | undefined;

  get selected(): number | undefined {
    return this.#selected?.id;
  }

  /** Selects a policy, and moves the focus to its heading. */
  select(view: PolicyView): void {
    this.close();
    this.#selected = view;
    this.#section.hidden = false;
    this.#describe(view);
    this.#panel.open(view);
    this.#stream = openStream(`policies/${view.id}/events`, {
      policy: (message) => this.#showRefusals(message as PolicyMessage),
    });
    byId('policy-title').focus();
  }

  close(): void {
    this.#stream?.close();
    this.#selected = undefined;
    this.#section.hidden = true;
    this.#limits.arrange([]);
    this.#identities.arrange([]);
  }

  /** Shows what the policy has counted now; closes if it is gone. */
  show(policies: readonly ShownPolicy[], second: number): void {
    if (this.#selected === undefined) return;
    const policy = policies.find(({ view }) => view.id === this.selected);
    if (policy === undefined) {
      this.close();
      return;
    }
    this.#describe(policy.view);
    this.#chart.show(policy.series, second);
  }

  #describe(view: PolicyView): void {
    setText(byId('policy-title'), view.name);
    setFacts(byId('facts'), [
      ['Declared', view.where],
      ['Limits', describeLimits(view) || '–'],
      ['Strategy', view.strategy || '–'],
      ['Key', view.key.join(', else ') || '–'],
      ['Mode', view.mode],
      ...(view.longestBlock === undefined ? [] : [['Blocks for up to', view.longestBlock] as const]),
    ]);
  }

  #showRefusals({ limits, refusals, identities }: PolicyMessage): void {
    const most = Math.max(...limits.map((limit) => limit.refusals));
    const keyed = limits
      .map((limit) => ({ key: `${limit.name} ${limit.text} ${limit.mode}`, ...limit }))
      .sort((one, other) => other.refusals - one.refusals);
    for (const { key, name, text, mode, refusals: count } of keyed) {
      const { row, cells } = this.#limits.get(key, () => figureRow(`${name}: ${text}`, ['', 'figure']));
      row.classList.toggle('most', count > 0 && count === most);
      setTexts(cells, [mode, formatCount(count)]);
    }
    this.#limits.arrange(keyed.map(({ key }) => key));

    byId('no-identities').hidden = identities.length > 0;
    byId('identities').hidden = identities.length === 0;
    for (const { identity, count, error } of identities) {
      const { cells } = this.#identities.get(identity, () => this.#identityRow(identity));
      const text =
        error === 0 ? formatCount(count) : `${formatCount(count - error)} to ${formatCount(count)}`;
      setTexts(cells, [text, formatShare(count, refusals)]);
    }
    this.#identities.arrange(identities.map(({ identity }) => identity));
  }

  #identityRow(identity: string): FigureRow {
    if ((this.#selected?.routes.length ?? 0) === 0) return figureRow(identity, ['figure', 'figure']);
    const button = create('button', '', identity);
    button.type = 'button';
    button.addEventListener('click', () => void this.#panel.lookUp(identity));
    return figureRow(button, ['figure', 'figure']);
  }
}

function figureRow(first: Node | string, classNames: readonly string[]): FigureRow {
  const cells = classNames.map((className) => create('td', className));
  return { row: create('tr', '', create('td', '', first), ...cells), cells };
}

function setTexts(cells: readonly HTMLElement[], texts: readonly string[]): void {
  for (const [index, cell] of cells.entries()) setText(cell, texts[index] ?? '');
}

function bodyOf(id: string): HTMLTableSectionElement {
  return byId(id, HTMLTableElement).tBodies[0] as HTMLTableSectionElement;
}
