/** A value, or the promise of one: what is answered from memory needs no promise, and `await` reads both alike. */
export type Awaitable<T> = T | Promise<T>;

export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** Goes on with `next` at once when the value is there, and when it arrives otherwise. */
export function chain<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? Promise.resolve(value).then(next) : next(value);
}

/** `Promise.all` that stays synchronous while every value is there. */
export function all<T>(values: readonly Awaitable<T>[]): Awaitable<T[]> {
  return values.some(isPromise) ? Promise.all(values) : (values as T[]);
}

/** What a call answers. What it throws at once is a rejection, so that what others have begun meanwhile is awaited all the same. */
export function attempt<T>(call: () => Awaitable<T>): Awaitable<T> {
  try {
    return call();
  } catch (error) {
    return Promise.resolve().then(() => {
      throw error;
    });
  }
}
