/** A rehearsal as text: a list of steps, and a script of iproute2, nft and sysctl commands. */
import { CONTAINER, type CommandRun, type Rehearsal, type Step } from './rehearse.ts';

/** `1. on the host: create the bridge link "cni0"`, with the command below it. */
export function planOf({ steps, foreign, notes = [], run }: Rehearsal): string {
  const all = steps.flatMap(({ where, told }) =>
    told.map(({ action, command }) => ({ where, action, text: inPlace(where, command) })),
  );
  if (run !== undefined) {
    for (const [path, text] of Object.entries(run.files))
      all.push({ where: 'container', action: `show in the place of "${path}"`, text: text.trimEnd() });
    const text = run.command.map(word).join(' ');
    all.push({ where: run.isInside ? 'container' : 'host', action: 'run the command', text });
  }
  const lines = all.map(({ where, action, text }, i) => {
    const place = where === 'host' ? 'on the host' : 'in the container';
    return `${String(i + 1).padStart(3)}. ${place}: ${action}\n       ${text.replaceAll('\n', '\n       ')}\n`;
  });
  const others = foreign.map((type) => `"${type}" is somebody else's plugin: what it does is not known`);
  return [...lines, ...[...others, ...notes].map((each) => `     ${each}\n`)].join('');
}

/**
 * A script that does the same in the namespace that it runs in.
 * @param title what it does, for its first lines
 * @param container path of the container's namespace, which the variable CONTAINER may replace
 */
export function scriptOf({ steps, foreign, notes = [], run }: Rehearsal, title: string, container: string): string {
  const others = foreign.map((type) => `"${type}" is somebody else's plugin; what it does is not here`);
  return [
    '#!/bin/bash',
    `# ${title}`,
    ...[...others, ...notes].map((each) => `# NB: ${each}`),
    'set -euo pipefail',
    ...(container === '' ? [] : [`CONTAINER=\${CONTAINER:-${container}}`]),
    '',
    ...steps.map(lines),
    ...(run === undefined ? [] : running(run)),
    '',
  ].join('\n');
}

function lines({ where, told }: Step): string {
  const rules = told.map(({ command }) => nftText(command));
  if (!rules.every((rule) => rule !== undefined)) return told.map(({ command }) => inPlace(where, command)).join('\n');
  // Changes that take effect together are one transaction.
  return `${where === 'host' ? '' : `nsenter --net=${CONTAINER} `}nft -f - <<'EOF'\n${rules.join('\n')}\nEOF`;
}

/**
 * Runs the command as netloom does (execute.ts): in a mount namespace of its own, with its files over those of the
 * machine, and with the /sys of its network namespace.
 */
function running({ command, isInside, files }: CommandRun): string[] {
  const words = command.map(word).join(' ');
  if (!isInside) return [`exec ${words}`];
  const paths = Object.keys(files);
  const nameOf = (path: string) => `"$FILES"${path.slice(path.lastIndexOf('/'))}`;
  return [
    `export FILES=$(mktemp -d)`,
    ...paths.map((path) => `cat >${nameOf(path)} <<'EOF'\n${files[path]}EOF`),
    // NB: by exec, so that what ends the script ends the command.
    `exec nsenter --net=${CONTAINER} unshare --mount --propagation slave bash -ec '`,
    '  exec 9</sys/fs/cgroup',
    '  mount -t sysfs sysfs /sys',
    '  mount --no-canonicalize --rbind /proc/self/fd/9 /sys/fs/cgroup',
    ...paths.map((path) => `  if [ -e ${path} ]; then mount --bind ${nameOf(path)} ${path}; fi`),
    `  exec env -u FILES "$@" 9<&-' bash ${words}`,
  ];
}

/** A word for a shell, quoted where necessary. */
function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * A command, run in the container's namespace where it belongs there. Commands joined by && become separate lines, so
 * that bash notices if the first one fails.
 * NB: nsenter, since `ip -n` takes names in /run/netns, not paths.
 */
function inPlace(where: Step['where'], command: string): string {
  const enter = where === 'host' ? '' : `nsenter --net=${CONTAINER} `;
  return command
    .split(' && ')
    .map((each) => enter + each)
    .join('\n');
}

/** What is between the quotes of `nft '…'`. */
function nftText(command: string): string | undefined {
  if (!command.startsWith("nft '")) return undefined;
  return command.slice("nft '".length, -1).replaceAll(`'\\''`, "'");
}
