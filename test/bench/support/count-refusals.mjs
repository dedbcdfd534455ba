/** What a replay has to report, counted without the library: one plain Map per limit, one pass over the requests in order of time. */

/** Decides requests by a window that starts with the first request of a client. */
export function fixedWindow(amount, period) {
  const windows = new Map();
  return ({ client, time }) => {
    const window = windows.get(client);
    if (window === undefined || time >= window.end) {
      windows.set(client, { count: 1, end: time + period });
      return amount >= 1;
    }
    if (window.count >= amount) return false;
    window.count++;
    return true;
  };
}

/** Decides requests by the allowed ones of the period before them. */
export function movingWindow(amount, period) {
  const logs = new Map();
  return ({ client, time }) => {
    const log = (logs.get(client) ?? []).filter((allowed) => allowed > time - period);
    logs.set(client, log);
    if (log.length >= amount) return false;
    log.push(time);
    return true;
  };
}

/** Counts the decisions on requests, which may be out of order; those of one time are decided in the order in which they come. */
export function countRefusals(requests, allows, allowed) {
  const clients = new Set();
  const [refused, wasRefused] = [new Count(), new Count()];
  const [newlyRefused, newlyAllowed] = [new Count(), new Count()];
  let count = 0;
  for (const request of inOrderOfTime(requests)) {
    count++;
    clients.add(request.client);
    const isAllowed = allows(request);
    const wasAllowed = allowed?.(request) ?? true;
    if (!isAllowed) refused.add(request);
    if (!wasAllowed) wasRefused.add(request);
    if (isAllowed !== wasAllowed) (isAllowed ? newlyAllowed : newlyRefused).add(request);
  }
  return {
    requests: count,
    identities: clients.size,
    refused: refused.shown,
    ...(allowed === undefined ? {} : { wasRefused: wasRefused.shown }),
    newlyRefused: newlyRefused.shown,
    newlyAllowed: newlyAllowed.shown,
  };
}

/** Requests, and their clients. */
class Count {
  #requests = 0;
  #clients = new Set();

  add({ client }) {
    this.#requests++;
    this.#clients.add(client);
  }

  get shown() {
    return { requests: this.#requests, identities: this.#clients.size };
  }
}

function* inOrderOfTime(requests) {
  const byTime = new Map();
  for (const request of requests) {
    const same = byTime.get(request.time);
    if (same === undefined) byTime.set(request.time, [request]);
    else same.push(request);
  }
  for (const time of [...byTime.keys()].sort((one, other) => one - other)) yield* byTime.get(time);
}
