import type { PolicyView } from '../lib/nest/console/console-messages.js';
import { Spark } from './charts.js';
import { byId, create, Rows, setText } from './dom.js';
import { formatCount, formatShare } from './format.js';
import type { Series } from './series.js';

type Order = 'name' | 'requests' | 'refused' | 'share' | 'shadow';

/** A policy and its counts. */
export interface ShownPolicy {
  readonly view: PolicyView;
  readonly series: Series;
}

interface PolicyRow {
  readonly row: HTMLElement;
  readonly limits: HTMLElement;
  readonly spark: Spark;
  readonly figures: readonly HTMLElement[];
}

/** The table of all policies. */
export class PolicyTable {
  readonly #table = byId('policies', HTMLTableElement);
  readonly #body = this.#table.tBodies[0] as HTMLTableSectionElement;
  readonly #rows = new Rows<PolicyRow>(this.#body);
  readonly #filter = byId('filter', HTMLInputElement);
  #order: Order = 'refused';
  #policies: readonly ShownPolicy[] = [];
  #selected: number | undefined;

  constructor(private readonly select: (policy: PolicyView) => void) {
    this.#filter.addEventListener('input', () => this.#arrange());
    for (const button of this.#table.querySelectorAll<HTMLButtonElement>('th button'))
      button.addEventListener('click', () => this.#sortBy(button.dataset['sort'] as Order));
    this.#sortBy(this.#order);
  }

  /** @param selected the number of the selected policy */
  show(policies: readonly ShownPolicy[], selected: number | undefined): void {
    this.#policies = policies;
    this.#selected = selected;
    setText(byId('policy-count'), formatCount(policies.length));
    // Rows do not move under the pointer or the focus.
    const isUsed = this.#body.matches(':hover, :focus-within');
    if (!isUsed || policies.length !== this.#body.rows.length) this.#arrange();
    for (const policy of policies) this.#update(policy);
  }

  #sortBy(order: Order): void {
    this.#order = order;
    for (const button of this.#table.querySelectorAll<HTMLButtonElement>('th button')) {
      const isOrder = button.dataset['sort'] === order;
      const header = button.parentElement;
      if (isOrder) header?.setAttribute('aria-sort', order === 'name' ? 'ascending' : 'descending');
      else header?.removeAttribute('aria-sort');
    }
    this.#arrange();
  }

  #arrange(): void {
    const sought = this.#filter.value.trim().toLowerCase();
    const shown = this.#policies
      .filter(({ view }) => textOf(view).includes(sought))
      .sort((one, other) => this.#compare(one, other));
    for (const { view } of shown) this.#rowOf(view);
    this.#rows.arrange(shown.map(({ view }) => String(view.id)));
    byId('no-policies').hidden = shown.length > 0 || this.#policies.length === 0;
    for (const policy of shown) this.#update(policy);
  }

  #compare(one: ShownPolicy, other: ShownPolicy): number {
    const byName =
      one.view.name.localeCompare(other.view.name) || one.view.where.localeCompare(other.view.where);
    if (this.#order === 'name') return byName;
    const weigh = ({ series: { sums } }: ShownPolicy): number =>
      this.#order === 'share' ? sums.refused / Math.max(sums.requests, 1) : sums[this.#order as 'requests'];
    return weigh(other) - weigh(one) || other.series.sums.requests - one.series.sums.requests || byName;
  }

  #rowOf(view: PolicyView): PolicyRow {
    return this.#rows.get(String(view.id), () => {
      const button = create('button', '', view.name);
      button.type = 'button';
      button.addEventListener('click', () => this.select(view));
      const spark = new Spark();
      const figures = ['wide', '', 'wide', 'wide'].map((className) => create('td', `figure ${className}`));
      const limits = create('td', 'limits wide');
      const row = create(
        'tr',
        '',
        create('td', '', button, create('span', 'where', view.where)),
        limits,
        create('td', '', spark.element),
        ...figures,
      );
      return { row, limits, spark, figures };
    });
  }

  #update({ view, series }: ShownPolicy): void {
    const { row, limits, spark, figures } = this.#rowOf(view);
    if (!row.isConnected) return;
    const isSelected = view.id === this.#selected;
    row.classList.toggle('selected', isSelected);
    row.querySelector('button')?.setAttribute('aria-pressed', String(isSelected));
    setText(limits, describeLimits(view));
    spark.show(series);
    const { requests, refused, shadow } = series.sums;
    const texts = [
      formatCount(requests),
      formatCount(refused),
      formatShare(refused, requests),
      formatCount(shadow),
    ];
    for (const [index, text] of texts.entries()) {
      const figure = figures[index];
      if (figure) setText(figure, text);
    }
  }
}

/** Describes the limits of a policy, those of plans with their names. */
export function describeLimits({ limits, needsLimits, mode }: PolicyView): string {
  const texts = limits.map(({ text, plan }) => (plan === undefined ? text : `${plan}: ${text}`));
  if (needsLimits) texts.push('found for each request');
  return `${texts.join(' · ')}${mode === 'enforce' ? '' : ` (${mode === 'shadow' ? 'shadow' : 'partly shadow'})`}`;
}

function textOf(view: PolicyView): string {
  return `${view.name} ${view.where} ${describeLimits(view)}`.toLowerCase();
}
