/** The method by which `console.log` and `util.inspect` show an object. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom');

/**
 * Decorates a class: `console.log`, `util.inspect` and `JSON.stringify` show an instance by the name of its class only, since what
 * it refers to may hold the credentials of a store.
 */
export function shownByName(type: { readonly prototype: object }): void {
  hideContents(type.prototype, function (this: object) {
    return this.constructor.name;
  });
}

/** Makes `console.log`, `util.inspect` and `JSON.stringify` show an object as a text. */
export function hideContents(object: object, show: () => string): void {
  for (const key of [INSPECT, 'toJSON'])
    Object.defineProperty(object, key, { value: show, configurable: true, writable: true });
}
