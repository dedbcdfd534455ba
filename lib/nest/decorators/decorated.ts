/** What TypeScript hands to a decorator of a class, or of a method. */
export type Decorated = [target: object, property?: string | symbol, descriptor?: PropertyDescriptor];

/** Where the metadata of a decorated class or method is kept: on the class, or on the function itself. */
export function targetOf([target, , descriptor]: Decorated): object {
  return descriptor === undefined ? target : (descriptor.value as object);
}

/**
 * What is already declared on it. A decorator that wraps a method leaves the original's metadata to be inherited, so for a
 * method that counts; what a class inherits is its base's.
 */
export function declaredOn(key: string, [target, , descriptor]: Decorated): unknown {
  return descriptor === undefined
    ? Reflect.getOwnMetadata(key, target)
    : Reflect.getMetadata(key, descriptor.value as object);
}
