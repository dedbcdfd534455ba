import type { PolicyView, SnapshotMessage, TickMessage } from '../lib/nest/console/console-messages.js';
import { Chart } from './charts.js';
import { byId, setText } from './dom.js';
import { formatCount, formatDateTime, formatRate, formatShare } from './format.js';
import { openStream } from './live.js';
import { PolicyDetail } from './policy-detail.js';
import { PolicyTable, type ShownPolicy } from './policy-table.js';
import { Series } from './series.js';
import { showStore } from './store-panel.js';

const STATES = { live: 'Live', waiting: 'Reconnecting', closed: 'Disconnected. Reload the page.' };

const chart = new Chart(byId('all-chart'), byId('all-legend'), 'All requests');
const detail = new PolicyDetail();
const table = new PolicyTable((policy) => select(policy));

let second = 0;
let started = 0;
let total = new Series();
let policies: ShownPolicy[] = [];

openStream(
  'events',
  {
    snapshot: (message) => replaceAll(message as SnapshotMessage),
    tick: (message) => addSecond(message as TickMessage),
  },
  (state) => {
    byId('live').className = state === 'live' ? 'live on' : 'live';
    setText(byId('live'), STATES[state]);
  },
);

function replaceAll(snapshot: SnapshotMessage): void {
  const { host, pid } = snapshot.process;
  // Policies have other numbers in another process.
  if (snapshot.process.started !== started) detail.close();
  ({ started } = snapshot.process);
  setText(byId('process'), `${host} · process ${pid} · started ${formatDateTime(started)}`);
  document.title = `Rate limits · ${host}`;
  ({ second } = snapshot);
  total = new Series(snapshot.total);
  policies = snapshot.policies.map((view) => ({ view, series: new Series(snapshot.series[view.id]) }));
  showStore(snapshot.store);
  show();
}

function addSecond(tick: TickMessage): void {
  const seconds = tick.second - second;
  ({ second } = tick);
  total.add(seconds, tick.total);
  for (const { view, series } of policies) series.add(seconds, tick.counts[view.id]);
  showStore(tick.store);
  show();
}

function select(policy: PolicyView): void {
  detail.select(policy);
  show();
}

function show(): void {
  const { requests, refused, shadow } = total.sums;
  setText(byId('rate'), formatRate(total.rate('requests')));
  setText(byId('refused-rate'), formatRate(total.rate('refused')));
  setText(byId('share'), formatShare(refused, requests));
  setText(byId('shadow'), formatCount(shadow));
  chart.show(total, second);
  table.show(policies, detail.selected);
  detail.show(policies, second);
}
