import type { StoreView } from '../lib/nest/console/console-messages.js';
import { byId, create, setFacts, setText } from './dom.js';
import { formatCount, formatDateTime, formatLatency, formatTime } from './format.js';

const INSTEAD: Readonly<Record<string, string>> = {
  allow: 'requests are let through',
  fallback: 'this process counts alone',
  deny: 'requests fail',
};

/** Shows the state of the store. */
export function showStore(store: StoreView): void {
  const { name, circuit, degradedSince, onError, calls, allowed, fallback, slots, waiting, errors } = store;
  const tile = byId('circuit');
  setText(tile, circuit === 'closed' ? 'In use' : 'Degraded');
  tile.className = `number ${circuit === 'closed' ? 'good' : 'bad'}`;
  setFacts(byId('store-facts'), [
    ['Storage', name],
    ['Circuit', circuit],
    ...(degradedSince === undefined
      ? []
      : [
          [
            'Degraded since',
            `${formatTime(degradedSince)}: ${INSTEAD[onError ?? ''] ?? 'requests fail'}`,
          ] as const,
        ]),
    ['Calls, 10 min', formatCount(calls.count)],
    ['Median', formatLatency(calls.p50)],
    ['90 %', formatLatency(calls.p90)],
    ['99 %', formatLatency(calls.p99)],
    ['Let through without the store', formatCount(allowed)],
    ['Counted in this process', formatCount(fallback)],
    ['Slots held', formatCount(slots)],
    ['Requests waiting', formatCount(waiting)],
  ]);
  byId('no-errors').hidden = errors.length > 0;
  byId('errors').replaceChildren(
    ...errors.map(({ message, at, count }) => {
      const times = count === 1 ? '' : `, ${formatCount(count)} times`;
      return create('li', '', create('span', 'where', `${formatDateTime(at)}${times}`), message);
    }),
  );
}
