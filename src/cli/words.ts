/** Translates words that people know from other programs into those of the command tree. */
import { sandboxAliases, sandboxFlags } from './sandbox/flags.ts';

/** Options of docker's run and exec that ours imply. */
const ANYWAY: ReadonlySet<string> = new Set(['--rm', '-i', '-t', '-it', '-ti', '--interactive', '--tty']);

export function meantBy(args: readonly string[]): readonly string[] {
  const [first = '', ...rest] = args;
  if (first === 'help') return [...rest, '--help'];
  if (first === 'version') return ['--version', ...rest];
  if (first === 'run') return [first, ...withCommand(rest, 0)];
  return first === 'exec' ? [first, ...withCommand(rest, 1)] : args;
}

/**
 * Puts "--" before a person's command, which begins after the first words that are not flags. @param names how many
 * words come before the command
 */
function withCommand(args: readonly string[], names: number): string[] {
  const end = afterFlags(args);
  const flags = args.slice(0, end).filter((word) => !ANYWAY.has(word));
  const rest = args.slice(end);
  const command = rest[names];
  if (command === undefined || command.startsWith('-') || rest[0]?.startsWith('-')) return [...flags, ...rest];
  return [...flags, ...rest.slice(0, names), '--', ...rest.slice(names)];
}

function afterFlags(args: readonly string[]): number {
  let i = 0;
  for (let word = args[i]; word?.startsWith('-') && word !== '--'; word = args[i]) i += takesValue(word) ? 2 : 1;
  return i;
}

/** Whether the next word is the option's value: for `--name web`, not for `--name=web`. */
function takesValue(word: string): boolean {
  const name = word.replace(/^--?/, '');
  const flag = Object.hasOwn(sandboxAliases, name) ? sandboxAliases[name as keyof typeof sandboxAliases] : camel(name);
  return Object.hasOwn(sandboxFlags, flag);
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
