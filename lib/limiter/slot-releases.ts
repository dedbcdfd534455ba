import type { Cell } from '../core/contract.js';

/** By cell: callbacks of callers in this process that wait for a slot. */
const waiting = new Map<string, Set<() => void>>();

/** Wakes the callers in this process that wait for a slot of a cell. */
export function announceRelease(cell: Cell): void {
  for (const wake of waiting.get(nameOf(cell)) ?? []) wake();
}

/** Resolves after a release of any of the cells in this process, at the latest after a number of ms, or once the signal is aborted. */
export async function waitForRelease(
  cells: readonly Cell[],
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const names = cells.map(nameOf);
  let wake = (): void => undefined;
  const woken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const timer = setTimeout(wake, milliseconds);
  signal?.addEventListener('abort', wake);
  for (const name of names) waiting.set(name, (waiting.get(name) ?? new Set()).add(wake));
  await woken;
  clearTimeout(timer);
  signal?.removeEventListener('abort', wake);
  for (const name of names) {
    const callers = waiting.get(name);
    callers?.delete(wake);
    if (callers?.size === 0) waiting.delete(name);
  }
}

function nameOf({ identity, limit }: Cell): string {
  return `${identity} ${limit.id}`;
}
