import type { Cell } from './contract.js';
import type { Storage } from './storage.js';

/** Receives the cells that have units again; `undefined` for all cells. */
type ReturnListener = (cells: readonly Cell[] | undefined) => void;

const listeners = new WeakMap<Storage, ReturnListener>();

/** Calls back when this process returns units of a storage. A storage has one listener. */
export function onReturn(storage: Storage, listener: ReturnListener): void {
  listeners.set(storage, listener);
}

/** Announces that this process has returned units or slots of cells, or removed the counts of all cells. */
export function announceReturn(storage: Storage, cells: readonly Cell[] | undefined): void {
  listeners.get(storage)?.(cells);
}
