import type ts from 'typescript';

/** The application's own TypeScript, which the codemod parses with: it is not a dependency of this package. */
export type TypeScript = typeof ts;

export type { ts };
