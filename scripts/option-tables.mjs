/**
 * Writes the tables of options into the documents, from the doc comments of lib: `npm run docs:options`.
 *
 * A document marks the place of a table by the interfaces whose own options it lists:
 *
 *     <!-- options: RateLimitModuleOptions RateLimitModuleExtras -->
 *     <!-- end -->
 *
 * A row has the first paragraph of an option's comment, its `@default`, and a link for each `@see docs/page.md#heading`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MARKED = /(<!-- options: ([\w ]+) -->\n).*?(<!-- end -->)/gs;

/** Returns the text of each document with tables of options, by its path, as it should be. */
export function drawOptionTables() {
  const interfaces = readInterfaces();
  const pages = {};
  for (const page of filesOf('docs', '.md')) {
    const text = read(page);
    const written = text.replace(MARKED, (_all, start, names, end) => {
      const table = drawTable(names.split(' '), interfaces, page);
      return `${start}\n${table}\n\n${end}`;
    });
    if (text.search(MARKED) !== -1) pages[page] = written;
  }
  return pages;
}

/** Returns the interfaces of lib, by name. */
function readInterfaces() {
  const interfaces = new Map();
  for (const file of filesOf('lib', '.ts'))
    ts.forEachChild(ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true), (node) => {
      if (ts.isInterfaceDeclaration(node)) interfaces.set(node.name.text, node);
    });
  return interfaces;
}

function drawTable(names, interfaces, page) {
  const members = new Map();
  for (const name of names) {
    const declared = interfaces.get(name);
    if (declared === undefined) throw new Error(`${page}: there is no interface ${name}.`);
    for (const member of declared.members)
      if (!members.has(member.name.text)) members.set(member.name.text, member);
  }
  const rows = [...members].map(([option, member]) => [
    `\`${option}\``,
    defaultOf(option, member),
    meaningOf(option, member, page),
  ]);
  return align([['option', 'default', 'meaning'], ...rows]);
}

function defaultOf(option, member) {
  if (member.questionToken === undefined) return 'required';
  const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default');
  if (tag === undefined) throw new Error(`The comment of the option ${option} needs a @default.`);
  const text = oneLine(ts.getTextOfJSDocComment(tag.comment) ?? '');
  return /^(['[{\d]|(true|false)$)/.test(text) ? `\`${text}\`` : text;
}

function meaningOf(option, member, page) {
  const [summary = ''] = (ts.getTextOfJSDocComment(member.jsDoc?.at(-1)?.comment) ?? '').split(/\n\s*\n/);
  if (summary === '') throw new Error(`The option ${option} needs a comment.`);
  const links = ts
    .getJSDocTags(member)
    .flatMap((tag) => /^@see (docs\/\S+)/.exec(tag.getText())?.slice(1) ?? [])
    .map((target) => linkTo(target, page));
  return [oneLine(summary), ...(links.length > 0 ? [`See ${links.join(' and ')}.`] : [])].join(' ');
}

/** Returns a Markdown link from a page to `docs/other.md#heading`, named by the heading. */
function linkTo(target, page) {
  const [path, anchor] = target.split('#');
  const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading);
  const title = anchor === undefined ? headings[0] : headings.find((heading) => anchorOf(heading) === anchor);
  if (title === undefined) throw new Error(`There is no heading ${target}.`);
  const file = path === page ? '' : posix.relative(posix.dirname(page), path);
  return `[${title}](${file}${anchor === undefined ? '' : `#${anchor}`})`;
}

function anchorOf(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

/** Returns a Markdown table as Prettier formats it. */
function align([head, ...rows]) {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column])));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function oneLine(text) {
  return text.replace(/\s+/g, ' ').trim();
}

function filesOf(folder, ending) {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => posix.join(folder, name));
}

function read(file) {
  return readFileSync(join(ROOT, file), 'utf8');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [page, text] of Object.entries(drawOptionTables())) writeFileSync(join(ROOT, page), text);
