/** What TypeScript hands to a decorator of a class, or of a method. */
export type Decorated = [target: object, property?: string | symbol, descriptor?: PropertyDescriptor];

/** Where the metadata of a decorated class or method is kept: on the class, or on the function itself. */
export function targetOf([target, , descriptor]: Decorated): object {
  return descriptor === undefined ? target : (descriptor.value as object);
}
