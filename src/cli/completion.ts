/** `netloom completion`: scripts for shells, which ask netloom itself what may follow. */
import { type Application, buildCommand, type CommandContext, proposeCompletions } from '@stricli/core';
import { pathsOf } from '../paths.ts';
import { readNetworks } from '../runtime/conf-directory.ts';
import { sandboxRecords } from '../runtime/sandbox/store.ts';

/** What the scripts call, with the words so far; the last one is what is being typed. */
export const COMPLETE = '__complete';

const SCRIPTS = {
  bash: `_netloom() {
  local IFS=$'\\n'
  COMPREPLY=($(netloom ${COMPLETE} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _netloom netloom
`,
  zsh: `#compdef netloom
_netloom() {
  local -a found
  found=("\${(@f)$(netloom ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found
}
compdef _netloom netloom
`,
  fish: `complete -c netloom -f -a '(netloom ${COMPLETE} (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
} as const;

export const completionCommand = buildCommand({
  docs: {
    brief: 'Print a script that completes commands in a shell',
    fullDescription: `Examples:
  source <(netloom completion bash)
  netloom completion zsh > "\${fpath[1]}/_netloom"
  netloom completion fish > ~/.config/fish/completions/netloom.fish`,
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        {
          parse: shellOf,
          placeholder: 'SHELL',
          brief: 'bash, zsh or fish',
          proposeCompletions: () => Object.keys(SCRIPTS),
        },
      ],
    },
  },
  func(this: CommandContext, _flags: object, shell: keyof typeof SCRIPTS) {
    this.process.stdout.write(SCRIPTS[shell]);
  },
});

/** Prints what may follow, one a line. */
export async function complete(application: Application<CommandContext>, words: readonly string[]): Promise<void> {
  const { stdout, stderr } = process;
  const found = await proposeCompletions(application, words, { process: { stdout, stderr } });
  stdout.write(found.map(({ completion }) => `${completion}\n`).join(''));
}

/** For parameters that name a network. */
export function networkNames(partial: string): string[] {
  const { networks } = readNetworks(pathsOf(process.env).conf);
  return networks.map(({ list }) => list.name).filter((name) => name.startsWith(partial));
}

/** For parameters that name a sandbox. */
export function sandboxNames(partial: string): string[] {
  const sandboxes = sandboxRecords({ paths: pathsOf(process.env), warn: () => {} }).list();
  return sandboxes.map(({ name }) => name).filter((name) => name.startsWith(partial));
}

function shellOf(word: string): keyof typeof SCRIPTS {
  if (Object.hasOwn(SCRIPTS, word)) return word as keyof typeof SCRIPTS;
  throw new RangeError(`there is no script for ${JSON.stringify(word)}, expected ${Object.keys(SCRIPTS).join(', ')}`);
}
