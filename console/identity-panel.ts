import type {
  IdentityRequest,
  IdentityState,
  LimitState,
  PolicyView,
} from '../lib/nest/console/console-messages.js';
import { byId, create, setText } from './dom.js';
import { formatCount, formatWait } from './format.js';
import { post } from './live.js';

const DONE = {
  'look-up': '',
  clear: 'Counts and blocks are cleared.',
  block: 'Blocked.',
  unblock: 'The block is lifted.',
};

/** Looks up, clears, blocks and unblocks an identity of the selected policy. */
export class IdentityPanel {
  readonly #form = byId('look-up', HTMLFormElement);
  readonly #outcome = byId('outcome');
  readonly #duration = byId('duration', HTMLInputElement);
  #policy: PolicyView | undefined;

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#perform('look-up');
    });
    for (const button of byId('state').querySelectorAll<HTMLButtonElement>('[data-action]'))
      button.addEventListener(
        'click',
        () => void this.#perform(button.dataset['action'] as IdentityRequest['action']),
      );
  }

  open(policy: PolicyView): void {
    this.#policy = policy;
    byId('identity').hidden = policy.routes.length === 0;
    byId('state').hidden = true;
    setText(this.#outcome, '');
    this.#field('identity').value = '';
    this.#setOptions('route', policy.routes.length > 1 ? policy.routes : []);
    this.#setOptions('plan', policy.plans.length > 0 ? ['', ...policy.plans] : []);
    this.#setText('limits', policy.needsLimits);
    for (const name of ['timeZone', 'anchor'] as const)
      this.#setText(name, policy.needsPosition.includes(name));
    const canBlock = policy.longestBlock !== undefined;
    for (const part of byId('state').querySelectorAll<HTMLElement>('.block, [data-action="unblock"]'))
      part.hidden = !canBlock;
    this.#duration.value = policy.longestBlock ?? '';
  }

  async lookUp(identity: string): Promise<void> {
    this.#field('identity').value = identity;
    await this.#perform('look-up');
  }

  async #perform(action: IdentityRequest['action']): Promise<void> {
    const policy = this.#policy;
    const identity = this.#field('identity').value.trim();
    if (policy === undefined || identity === '') return;
    const given = (name: string): string | undefined => this.#field(name).value.trim() || undefined;
    const names = ['route', 'plan', 'limits', 'timeZone', 'anchor'];
    const optional = Object.fromEntries(names.map((name) => [name, given(name)]));
    const duration = action === 'block' ? this.#duration.value.trim() || undefined : undefined;
    const answer = await post('identities', { action, policy: policy.id, identity, ...optional, duration });
    if (this.#policy !== policy) return;
    this.#outcome.className = 'error' in answer ? 'bad' : 'good';
    setText(this.#outcome, 'error' in answer ? answer.error : DONE[action]);
    if ('error' in answer) {
      if (action === 'look-up') byId('state').hidden = true;
      return;
    }
    show(answer.value as IdentityState);
  }

  #setOptions(name: string, values: readonly string[]): void {
    const field = this.#field(name);
    (field.parentElement as HTMLElement).hidden = values.length === 0;
    field.replaceChildren(...values.map((value) => new Option(value === '' ? 'none' : value, value)));
  }

  #setText(name: string, isNeeded: boolean): void {
    const field = this.#field(name);
    (field.parentElement as HTMLElement).hidden = !isNeeded;
    field.value = '';
  }

  #field(name: string): HTMLInputElement {
    return this.#form.elements.namedItem(name) as HTMLInputElement;
  }
}

function show({ identity, limits }: IdentityState): void {
  byId('state').hidden = false;
  setText(byId('state-title'), identity);
  byId('states').replaceChildren(
    ...limits.map((limit) => {
      const [text, className] = describeState(limit);
      const left = `${formatCount(limit.remaining)} of ${formatCount(limit.burst)}`;
      return create(
        'tr',
        '',
        create('td', '', `${limit.name}: ${limit.text}`),
        create('td', 'figure', left),
        create('td', className, text),
      );
    }),
  );
}

function describeState({
  allowed,
  blocked,
  retryAfter,
  resetTime,
}: LimitState): [text: string, className: string] {
  const wait = retryAfter === undefined ? '' : ` for ${formatWait(retryAfter)}`;
  if (blocked) return [`blocked${wait}`, 'bad'];
  if (!allowed) return [`refused${wait}`, 'bad'];
  return [resetTime === undefined ? 'unused' : 'allowed', 'good'];
}
