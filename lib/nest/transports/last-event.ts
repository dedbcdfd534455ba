/** A connection or call that emits an event when it ends. */
interface Emitter {
  once?(event: string, listener: () => void): unknown;
}

/** By emitter: the callbacks for its last event. */
const listeners = new WeakMap<object, Set<() => void>>();

/**
 * Calls back when an emitter emits its last event. Adds one listener per emitter, however many callers there are, since a connection
 * carries many messages.
 *
 * @param isOver true if it has emitted the event already: calls back at once
 * @returns a function that removes the callback
 */
export function onLastEvent(emitter: object, event: string, isOver: boolean, tell: () => void): () => void {
  if (isOver) {
    tell();
    return () => undefined;
  }
  let callbacks = listeners.get(emitter);
  if (callbacks === undefined) {
    const added = new Set<() => void>();
    (emitter as Emitter).once?.(event, () => {
      for (const call of added) call();
    });
    listeners.set(emitter, added);
    callbacks = added;
  }
  callbacks.add(tell);
  return () => callbacks.delete(tell);
}
