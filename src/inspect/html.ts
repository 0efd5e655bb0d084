/**
 * A snapshot as one file for a browser: the picture, with the path under the pointer or the keyboard focus highlighted.
 * Loads nothing, and its Content-Security-Policy forbids it.
 */

import type { Snapshot } from './snapshot.ts';
import { escapeXml, toSvg } from './svg.ts';

const PAGE_STYLE = `
:root { color-scheme: light dark; }
body { margin: 0; font: 14px system-ui, sans-serif; background: light-dark(#fff, #0d1117); color: light-dark(#1f2328, #e6edf3); }
header { display: flex; flex-wrap: wrap; gap: 4px 24px; align-items: baseline; padding: 12px 16px; border-bottom: 1px solid light-dark(#d0d7de, #3d444d); }
h1 { font-size: 16px; margin: 0; }
ul { display: flex; gap: 16px; margin: 0; padding: 0; list-style: none; }
li::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 6px; border: 2px solid; border-radius: 3px; vertical-align: -1px; }
.key-up::before { border-color: light-dark(#1a7f37, #3fb950); } .key-down::before { border-color: light-dark(#cf222e, #f85149); } .key-no-carrier::before { border-color: light-dark(#9a6700, #d29922); }
main { overflow: auto; padding: 8px; }
footer { padding: 8px 16px; color: light-dark(#59636e, #9198a1); }
`;

/** Highlights whatever shares a path with the element under the pointer, and dims the rest. */
const SCRIPT = `
const svg = document.querySelector('svg');
const all = [...svg.querySelectorAll('[data-paths]')].map((element) => ({ element, paths: element.dataset.paths.split(' ') }));
const light = (paths) => {
  svg.classList.toggle('lighting', paths.size > 0);
  for (const each of all) each.element.classList.toggle('lit', each.paths.some((path) => paths.has(path)));
};
for (const { element, paths } of all) {
  const on = () => light(new Set(paths)), off = () => light(new Set());
  element.addEventListener('pointerenter', on); element.addEventListener('pointerleave', off);
  element.addEventListener('focus', on); element.addEventListener('blur', off);
}
`;

export async function toHtml(snapshot: Snapshot): Promise<string> {
  const svg = await toSvg(snapshot);
  const notes = snapshot.warnings.map((warning) => `<footer>not seen: ${escapeXml(warning)}</footer>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>netloom: wiring</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header><h1>Wiring</h1><time datetime="${escapeXml(snapshot.taken)}">${escapeXml(snapshot.taken)}</time><ul><li class="key-up">up</li><li class="key-down">down</li><li class="key-no-carrier">no carrier</li></ul></header>
<main>
${svg}</main>
${notes.join('\n')}
<script>${SCRIPT}</script>
</body>
</html>
`;
}
