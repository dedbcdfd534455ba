/** The folder of the page's files, from which it was loaded. */
const folder = new URL('.', import.meta.url);

/** Opens a stream of server-sent events. It reconnects by itself. */
export function openStream(
  path: string,
  listeners: Readonly<Record<string, (message: unknown) => void>>,
  onState?: (state: 'live' | 'waiting' | 'closed') => void,
): EventSource {
  const source = new EventSource(new URL(path, folder));
  for (const [name, listener] of Object.entries(listeners))
    source.addEventListener(name, (event) => listener(JSON.parse((event as MessageEvent<string>).data)));
  source.addEventListener('open', () => onState?.('live'));
  source.addEventListener('error', () =>
    onState?.(source.readyState === EventSource.CLOSED ? 'closed' : 'waiting'),
  );
  return source;
}

/** Sends JSON; returns the answer, or a text about what failed. */
export async function post(path: string, body: object): Promise<{ value: unknown } | { error: string }> {
  try {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(new URL(path, folder), {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (response.headers.get('content-type')?.includes('json') !== true)
      return { error: `The answer (${response.status}) is not from the console. Reload the page.` };
    const answer = (await response.json()) as { message?: string };
    if (response.ok) return { value: answer };
    return { error: answer.message ?? `The server answered ${response.status}.` };
  } catch {
    return { error: 'The server does not answer.' };
  }
}
