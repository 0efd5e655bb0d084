/** A rehearsal for people: as a list of steps, and as a script of iproute2, nft and sysctl. */
import { CONTAINER, type Rehearsal, type Step } from './rehearse.ts';

/** `1. on the host: create the bridge link "cni0"`, below it the command. */
export function planOf({ steps, foreign }: Rehearsal): string {
  const all = steps.flatMap(({ where, told }) => told.map((each) => ({ where, ...each })));
  const lines = all.map(({ where, action, command }, i) => {
    const place = where === 'host' ? 'on the host' : 'in the container';
    return `${String(i + 1).padStart(3)}. ${place}: ${action}\n       ${inPlace(where, command).replaceAll('\n', '\n       ')}\n`;
  });
  const others = foreign.map((type) => `     "${type}" is somebody else's plugin: what it does is not known\n`);
  return [...lines, ...others].join('');
}

/**
 * A script that does the same in the namespace that it runs in.
 * @param title what it does, for its first lines
 * @param container path of the container's namespace, which the variable CONTAINER may replace
 */
export function scriptOf({ steps, foreign }: Rehearsal, title: string, container: string): string {
  const others = foreign.map((type) => `# NB: "${type}" is somebody else's plugin; what it does is not here`);
  return [
    '#!/bin/bash',
    `# ${title}`,
    ...others,
    'set -euo pipefail',
    `CONTAINER=\${CONTAINER:-${container}}`,
    '',
    ...steps.map(lines),
    '',
  ].join('\n');
}

function lines({ where, told }: Step): string {
  const rules = told.map(({ command }) => nftText(command));
  if (!rules.every((rule) => rule !== undefined)) return told.map(({ command }) => inPlace(where, command)).join('\n');
  // What takes effect together is one transaction.
  return `${where === 'host' ? '' : `nsenter --net=${CONTAINER} `}nft -f - <<'EOF'\n${rules.join('\n')}\nEOF`;
}

/**
 * A command in the container's namespace, where it is to be there. Two in a row are two lines, so that bash sees the first one fail.
 * NB: nsenter, since `ip -n` takes names of /run/netns and no paths.
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
