import fc from 'fast-check';

/** A mutant need not meet a property as often as the library itself, and nobody reads its smallest counterexample. */
fc.configureGlobal({ numRuns: 25, endOnFailure: true });
