/**
 * Checks the prose of the documents and of the comments in lib: `node scripts/prose.mjs [file …]`.
 *
 * Counts phrases that have a plainer equivalent. Each document, and lib as a whole, may have one per
 * 1,000 words, for the cases where such a phrase is the right one. If there are more, prints each
 * with its place and a replacement, and fails.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const MAX_PER_1000_WORDS = 1;
const ROOT = join(import.meta.dirname, '..');

/** Phrases by their replacement. */
const PHRASES = {
  'name the client, the caller or the process': [
    'nobody',
    'somebody',
    'everybody',
    'who(m)?ever',
    '(?<=[.:;|-] )who(m)? (is|are|has|may|was|loses|asks|reads|writes|waits)',
    'for whom',
    'strangers?',
  ],
  'say because, so that, next to, in addition to, again, from zero': [
    'lest',
    'anew',
    'beside(?!s)',
    'hence',
    'thus',
    'thereby',
    'therein',
    'whereof',
    'wherein',
    'whither',
    'ere',
    'nought',
    'in vain',
    'all the same',
    'but for',
    'as well as may be',
    'be it',
  ],
  'say at the same time, immediately, concurrently, during the outage': [
    'meanwhile',
    'at once(?! (for|with))',
    'under way',
    'at hand',
    'ever after',
    'for ever',
    'without end',
  ],
  'use the verb of the field: fix, ignore, close, return, refund, support, continue, resolve': [
    'mend(s|ed|ing)?',
    'heed(s|ed|ing)?',
    'bears?',
    'lets? go of',
    'giv(e|es|en|ing) back',
    'go(es)? on',
    'went on',
    '(find|finds|found) out',
    'comes? (to nothing|true again)',
    '(tell|tells|told) of',
    '(make|makes|made) of',
    'do(es)? without',
    'leaves? nothing behind',
    'says? so',
    'speaks? of',
    'knows? nothing of',
  ],
  'say available, possible, must be': [
    '(may|can|is|are) (be )?to be had',
    'that is to',
    '(is|are) to be (the|a|an|read|made|said|given|seen)\\b',
    'stands? (in|on|for|still)',
    'none is',
    'no such thing',
  ],
  'say your, our, its, separate, custom': [
    'of (yours|ours|theirs|mine)',
    'of (its|their|his|her|my) own',
    'a (time|name|process|server|kind) of its own',
  ],
  'start with the subject': [
    '(?<=(^|[.:;|#-] ))What (is|was|are|were|of|has|had|would|becomes|comes|happens|stands|holds|matters|they|it|this|every|several|one|else|you|clients)',
    'what becomes of',
    'perhaps',
    'so (many|much|long) (as|per|is|does|may)',
    'how many (that|there) (were|was)',
  ],
};

const patterns = Object.entries(PHRASES).flatMap(([advice, phrases]) =>
  phrases.map((phrase) => ({ advice, pattern: new RegExp(`(?<!\\w)(?:${phrase})(?!\\w)`, 'gim') })),
);

/** Replaces all but line breaks, so that places stay the same. */
const blank = (text) => text.replace(/[^\n]/g, ' ');

/** Removes code, links and markers from Markdown. A code span stays as one word. */
function prose(markdown) {
  return markdown
    .replace(/^ *```[\s\S]*?^ *```/gm, blank)
    .replace(/<!--[\s\S]*?-->/g, blank)
    .replace(/`[^`\n]*`/g, (code) => 'X'.padEnd(code.length))
    .replace(/\]\([^)]*\)/g, blank);
}

/** Keeps only the comments of TypeScript. */
function comments(source) {
  let text = '';
  let end = 0;
  for (const match of source.matchAll(/\/\*\*?[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm)) {
    text += blank(source.slice(end, match.index)) + match[0];
    end = match.index + match[0].length;
  }
  return prose(text.replace(/^( *)(\/?\*+\/?|\/\/)/gm, (marker) => ' '.repeat(marker.length)));
}

function check(file) {
  const source = readFileSync(file, 'utf8');
  const text = file.endsWith('.ts') ? comments(source) : prose(source);
  const flat = text.replaceAll('\n', ' ');
  const words = flat.split(/\s+/).filter((word) => /\w/.test(word)).length;
  // A phrase may span lines, so each of its spaces matches any number of them.
  const found = patterns.flatMap(({ advice, pattern }) => {
    const spaced = new RegExp(pattern.source.replaceAll(' ', ' +'), pattern.flags);
    return [...flat.matchAll(spaced)].map(({ 0: phrase, index }) => ({
      file,
      line: source.slice(0, index).split('\n').length,
      phrase: phrase.replace(/ +/g, ' '),
      advice,
    }));
  });
  return { file, words, found };
}

function filesOf(folder, ending) {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(ROOT, folder, name));
}

const given = process.argv.slice(2);
const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'].map((name) => join(ROOT, name));
/** Each document is a group of its own; lib is one, since most comments are short. */
const groups =
  given.length > 0
    ? given.map((file) => [file])
    : [...documents, ...filesOf('docs', '.md')].map((file) => [file]).concat([filesOf('lib', '.ts')]);

let failed = false;
for (const group of groups) {
  const checked = group.map(check);
  const words = checked.reduce((sum, one) => sum + one.words, 0);
  const found = checked.flatMap((one) => one.found);
  if (1000 * found.length <= MAX_PER_1000_WORDS * words) continue;
  failed = true;
  for (const { file, line, phrase, advice } of found)
    console.error(`${relative(ROOT, file).replaceAll(sep, '/')}:${line} "${phrase}": ${advice}`);
  console.error(
    `${found.length} such phrases in ${words} words; at most ${MAX_PER_1000_WORDS} per 1,000 words.\n`,
  );
}
if (failed) process.exitCode = 1;
