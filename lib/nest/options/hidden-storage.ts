import { hideContents } from '../../common/inspection.js';

/** Freezes resolved options so that inspection shows none of them: a storage given as a URI may contain a password. */
export function hideStorage<Options extends { readonly storage?: unknown }>(
  options: Options,
): Readonly<Options> {
  if (options.storage !== undefined) Object.defineProperty(options, 'storage', { enumerable: false });
  hideContents(options, () => 'RateLimitModuleOptions');
  return Object.freeze(options);
}
