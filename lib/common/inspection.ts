/** The method by which `console.log` and `util.inspect` show an object. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom');

/**
 * Decorates a class: `console.log`, `util.inspect` and `JSON.stringify` show its instances as `toString` does, or by the name of
 * the class. What such an object refers to may hold the credentials of a store.
 */
export function shownByName(type: { readonly prototype: object }): void {
  const show = function (this: object): string {
    const text = String(this);
    return text === '[object Object]' ? this.constructor.name : text;
  };
  for (const key of [INSPECT, 'toJSON'])
    Object.defineProperty(type.prototype, key, { value: show, configurable: true, writable: true });
}
