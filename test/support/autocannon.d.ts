/** The part of `autocannon`, which has no types, that the tests use. */
declare module 'autocannon' {
  interface Options {
    url: string;
    /** Requests to send. */
    amount: number;
    connections: number;
    /** Seconds. */
    timeout: number;
  }
  export default function autocannon(
    options: Options,
  ): Promise<{ readonly statusCodeStats: Readonly<Record<string, { readonly count: number }>> }>;
}
