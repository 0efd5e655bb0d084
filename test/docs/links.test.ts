/** Links between the documents lead to an existing file, and to a heading in it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('../..', import.meta.url));
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);

for (const document of documents) {
  test(`links of ${document}`, (t) => {
    const links = Array.from(prose(document).matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target);
    t.deepEqual(
      links.filter((target) => !/^https?:/.test(target) && !leadsSomewhere(document, target)),
      [],
    );
  });
}

function leadsSomewhere(document: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : join(dirname(document), path);
  if (!existsSync(join(root, file))) return false;
  return anchor === undefined || anchorsOf(file).includes(anchor);
}

/** The document without code blocks: they have no links and no headings. */
function prose(document: string): string {
  return readFileSync(join(root, document), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
}

/** The anchors that GitHub makes from headings. */
function anchorsOf(document: string): string[] {
  const headings = Array.from(prose(document).matchAll(/^#+ (.*)$/gm), ([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}
