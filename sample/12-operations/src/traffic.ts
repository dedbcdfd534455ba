/** Ms between two requests. */
const INTERVAL = 50;

/**
 * Sends requests of ten customers, one of whom searches too often, and of a client that guesses a password, to instances in
 * turn, as a load balancer does.
 */
export function generateTraffic(urls: readonly string[]): void {
  let count = 0;
  const timer = setInterval(() => {
    count++;
    const customer = count % 2 === 0 ? 'busy' : `customer-${Math.floor(Math.random() * 9)}`;
    const headers = { 'x-customer': customer, 'content-type': 'application/json' };
    const body = JSON.stringify({ name: 'admin', password: String(count) });
    const url = urls[Math.floor(count / 2) % urls.length];
    const requests = [
      fetch(`${url}/search`, { headers }),
      ...(count % 3 === 0 ? [fetch(`${url}/suggestions`, { headers })] : []),
      ...(count % 10 === 0 ? [fetch(`${url}/login`, { method: 'POST', headers, body })] : []),
    ];
    for (const request of requests) request.then((response) => response.arrayBuffer()).catch(() => undefined);
  }, INTERVAL);
  timer.unref();
}
