import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { Graph } from '../../inspect/graph.ts';
import { toDot, toMermaid } from '../../inspect/picture-text.ts';
import { select } from '../../inspect/select.ts';
import type { Snapshot } from '../../inspect/snapshot.ts';
import { take } from '../../inspect/take.ts';
import { type Paint, PLAIN, pathLines, toText } from '../../inspect/text.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { networkNames, sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { diff } from './diff.ts';
import { watch } from './watch.ts';

const VIEWS = ['json', 'paths', 'mermaid', 'dot', 'svg', 'html'] as const;
type View = (typeof VIEWS)[number];

type Flags = Readonly<Record<View | 'watch', boolean>>;

const BRIEFS: Readonly<Record<View, string>> = {
  json: 'Print a snapshot, for "inspect diff"',
  paths: 'Print only the paths',
  mermaid: 'Print a Mermaid diagram, for Markdown',
  dot: 'Print a Graphviz diagram',
  svg: 'Print an SVG picture',
  html: 'Print a picture for a browser, in one file',
};

export const inspectCommand = buildCommand({
  docs: {
    brief: 'Show what is connected to what, no matter by whom',
    fullDescription: `Prints a line for each path, from the interface of a container to where its
packets leave, and then every network namespace with its links. This is what the
kernel has now, so connections of docker, podman and others are there as well.

WHAT is a container, sandbox or namespace (docker:NAME, pid:N, netns:PATH or a
name), a link, an address or a network: only what is connected to it is shown.

In a path, ⇄ is a wire, ─ a port of a bridge, ─ on the link below, → a route,
and ─ nat → a route by which packets leave with an address of the host.

"inspect diff" compares two snapshots by the names in them. Exit status: 0 if
they are the same, 1 if they differ. --watch --json prints a snapshot per line.

Nothing is changed, except that the kernel numbers the namespace at the other
end of a wire when it is first asked about the wire, as by "ip link".

Examples:
  netloom inspect
  netloom inspect docker:web
  netloom inspect --html > wiring.html
  netloom inspect --json > before.json
  netloom inspect diff before.json after.json`,
    customUsage: [
      '[--json|--paths|--mermaid|--dot|--svg|--html] [WHAT]',
      '--watch [--json] [WHAT]',
      'diff [--json] <BEFORE> <AFTER>',
    ],
  },
  parameters: {
    flags: {
      ...(Object.fromEntries(
        VIEWS.map((view) => [view, { kind: 'boolean', default: false, brief: BRIEFS[view] }]),
      ) as Record<View, { kind: 'boolean'; default: false; brief: string }>),
      watch: { kind: 'boolean', default: false, brief: 'Keep running, and print what changes' },
    },
    positional: {
      kind: 'array',
      maximum: 3,
      parameter: {
        parse: String,
        proposeCompletions: (partial: string) => [
          ...['diff'].filter((word) => word.startsWith(partial)),
          ...sandboxNames(partial),
          ...networkNames(partial),
        ],
        placeholder: 'WHAT',
        brief: 'What to show; default: everything. Or: diff BEFORE AFTER',
      },
    },
  },
  async func(this: CommandContext, flags: Flags, ...words: string[]) {
    const [what, before, after] = words;
    if (what === 'diff' && before !== undefined && after !== undefined) return diff(this, before, after, flags.json);
    if (before !== undefined) {
      throw new NetloomError('invalid-option', `Cannot inspect ${words.join(', ')} together, expected one of them`, {
        hint: 'to compare two snapshots, use "netloom inspect diff BEFORE AFTER"',
      });
    }
    const asked = VIEWS.filter((view) => flags[view]);
    const [view, second] = asked;
    if (second !== undefined)
      throw new NetloomError('invalid-option', `Cannot combine --${view} and --${second}, expected one of them`);
    if (flags.watch && view !== undefined && view !== 'json') {
      throw new NetloomError('invalid-option', `Cannot combine --watch and --${view}, expected --json or no view`);
    }
    const context = runtimeContext();
    if (flags.watch) return watch(this, context, what, view === 'json');
    const snapshot = look(context, what);
    if (view === 'svg' || view === 'html') warnOfSize(context, snapshot);
    this.process.stdout.write(await shown(snapshot, view, paintFor(this)));
  },
});

export function look(context: RuntimeContext, what: string | undefined): Snapshot {
  const snapshot = take(context);
  return what === undefined ? snapshot : select(snapshot, what);
}

/** A picture of 500 sandboxes takes a second; a larger one takes longer, and nobody can read it. */
function warnOfSize(context: RuntimeContext, { namespaces }: Snapshot): void {
  const count = namespaces.reduce((sum, { links }) => sum + links.length, 0);
  if (count > 2000) context.warn(`drawing ${count} links takes a while; "netloom inspect WHAT" draws a part`);
}

/** NB: drawing code is loaded only where something is drawn. */
async function shown(snapshot: Snapshot, view: View | undefined, paint: Paint): Promise<string> {
  if (view === 'json') return `${JSON.stringify(snapshot, null, 2)}\n`;
  if (view === 'paths')
    return pathLines(new Graph(snapshot), paint)
      .map((line) => `${line}\n`)
      .join('');
  if (view === 'mermaid') return toMermaid(snapshot);
  if (view === 'dot') return toDot(snapshot);
  if (view === 'svg') return (await import('../../inspect/svg.ts')).toSvg(snapshot);
  if (view === 'html') return (await import('../../inspect/html.ts')).toHtml(snapshot);
  return toText(snapshot, paint);
}

const COLOURS = { up: 32, down: 31, 'no-carrier': 33, faint: 2 } as const;

/** Colours on a terminal only, and never where NO_COLOR is set (https://no-color.org). */
function paintFor({
  process: { stdout, env },
}: CommandContext & { readonly process: { readonly env?: unknown } }): Paint {
  const isTerminal = 'isTTY' in stdout && stdout.isTTY === true;
  const isRefused = ((env as NodeJS.ProcessEnv | undefined)?.['NO_COLOR'] ?? '') !== '';
  return isTerminal && !isRefused ? (state, text) => `\u001b[${COLOURS[state]}m${text}\u001b[0m` : PLAIN;
}
