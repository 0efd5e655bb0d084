/** Words that people bring from elsewhere, in those that the tree of commands has. */
import { sandboxAliases, sandboxFlags } from './sandbox/flags.ts';

/** Where a command of somebody's begins, of `run` and `exec`: what follows is its own, whether or not "--" stands before it, as with docker. */
export function meantBy(args: readonly string[]): readonly string[] {
  const [first, ...rest] = args;
  if (first === 'help') return [...rest, '--help'];
  if (first === 'version') return ['--version', ...rest];
  const begin = first === 'exec' ? 2 : first === 'run' ? afterFlags(args, 1) : args.length;
  const command = args[begin];
  // Options before the sandbox's name are of netloom, such as --help.
  if (command === undefined || command.startsWith('-') || (first === 'exec' && args[1]?.startsWith('-'))) return args;
  return [...args.slice(0, begin), '--', ...args.slice(begin)];
}

function afterFlags(args: readonly string[], from: number): number {
  let i = from;
  for (let word = args[i]; word?.startsWith('-') && word !== '--'; word = args[i]) i += takesValue(word) ? 2 : 1;
  return i;
}

/** Whether the next word belongs to it: `--name web`, and not `--name=web`. */
function takesValue(word: string): boolean {
  const name = word.replace(/^--?/, '');
  const flag = Object.hasOwn(sandboxAliases, name) ? sandboxAliases[name as keyof typeof sandboxAliases] : camel(name);
  return Object.hasOwn(sandboxFlags, flag);
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
