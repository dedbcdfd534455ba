import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const typescript = ['**/*.ts', '**/*.mts', '**/*.cts'];
/** Applications of the package tests: their dependencies are installed in a copy, so their types are not known here. */
const consumers = 'test/package/consumers/**';

export default defineConfig(
  globalIgnores(['**/dist/', '**/node_modules/', 'coverage/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error', reportUnusedInlineConfigs: 'error' } },

  {
    name: 'every file',
    extends: [tseslint.configs.strict],
    rules: {
      eqeqeq: 'error',
      'array-callback-return': 'error',
      'default-case-last': 'error',
      'no-async-promise-executor': 'error',
      'no-constructor-return': 'error',
      'no-control-regex': 'off', // limits and keys have to name control characters
      'no-empty': 'error',
      'no-fallthrough': 'error',
      'no-promise-executor-return': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
      'no-unmodified-loop-condition': 'error',
      'no-unsafe-finally': 'error',
      'no-useless-assignment': 'error',
      'no-useless-rename': 'error',
      'object-shorthand': 'error',
      'preserve-caught-error': 'error',
      // An underscore says that a parameter is there for its position only; Nest's module builder makes constants for `typeof`.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '_TYPE$' },
      ],
      // Nest's modules carry a decorator and nothing else, and so do classes that a test or a benchmark makes up.
      '@typescript-eslint/no-extraneous-class': 'off',
    },
  },

  {
    name: 'TypeScript, with its types',
    files: typescript,
    ignores: [consumers],
    extends: [tseslint.configs.strictTypeCheckedOnly, tseslint.configs.stylisticTypeCheckedOnly],
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-exports': [
        'error',
        { fixMixedExportsWithInlineTypeSpecifier: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: false, requireDefaultForNonUnion: true },
      ],
      // The rule against `!` says which of the two is wanted.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // What a caller without types can get wrong is checked, though its type says that it cannot be.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Nest declares classes for options that are passed as literals.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
      // An empty text is often as good as none.
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      // Functions are async to reject rather than throw, too; records are read, changed and written as JSON.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      // Amounts and times belong in messages, and so does a storage, whose toString is made for it.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allow: [{ from: 'file', name: 'Storage' }] },
      ],
      // Arrow functions that pass on a void result say that there is none.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },

  {
    name: 'the page of the console, for browsers',
    files: ['console/**/*.ts'],
    languageOptions: { parserOptions: { project: 'console/tsconfig.json' } },
  },
  {
    name: 'CommonJS',
    files: ['**/*.cjs'],
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  {
    name: 'library',
    files: ['lib/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      'no-console': 'error',
      // A path inside a package of NestJS is nobody's public API.
      'no-restricted-imports': ['error', { patterns: ['@nestjs/*/*'] }],
    },
  },
  {
    name: 'objects of pure functions, which are passed on',
    files: ['lib/strategies/**/*.ts', 'lib/storages/**/*.ts', 'test/**/*.ts'],
    ignores: [consumers],
    rules: { '@typescript-eslint/unbound-method': 'off' },
  },
  {
    name: 'tests, which read JSON and see that nothing is returned',
    files: ['test/**/*.ts'],
    ignores: [consumers],
    rules: {
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
