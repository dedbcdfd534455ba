/** The files of the page. */
export interface ConsolePage {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

/** Empty in the sources: `scripts/build.mjs` replaces this module with the page that it builds from `console/`. */
export const PAGE: ConsolePage = { html: '', script: '', style: '' };
