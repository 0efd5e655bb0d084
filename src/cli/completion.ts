/** `netloom completion`: shell scripts that ask netloom itself for completions. */
import { type Application, buildCommand, type CommandContext, proposeCompletions } from '@stricli/core';
import { pathsOf } from '../paths.ts';
import { readNetworks } from '../runtime/conf-directory.ts';
import { lostSandboxes, sandboxRecords } from '../runtime/sandbox/store.ts';

/** The hidden command that the scripts call, with the words so far. The last one is being typed. */
export const COMPLETE = '__complete';

/** Where netloom proposes nothing, file names are completed. */
const SCRIPTS = {
  // readline splits words at ":" and "=", netloom does not. So the words are taken from the whole line, and the part
  // that readline already has is cut from each proposal.
  bash: `_netloom() {
  local line=\${COMP_LINE:0:COMP_POINT} words known
  IFS=$' \\t\\n' read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local word=\${words[-1]} IFS=$'\\n'
  known=\${word%"\${word##*[:=]}"}
  COMPREPLY=($(netloom ${COMPLETE} "\${words[@]:1}" 2>/dev/null))
  COMPREPLY=("\${COMPREPLY[@]#"$known"}")
}
complete -o default -F _netloom netloom
`,
  // A file in fpath is the body of the function on its first call, and must answer then.
  zsh: `#compdef netloom
_netloom() {
  local -a found
  found=(\${(f)"$(netloom ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _default; fi
}
if [[ "\${funcstack[1]}" = _netloom ]]; then _netloom; else compdef _netloom netloom; fi
`,
  fish: `function __netloom_complete
  set -l found (netloom ${COMPLETE} (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c netloom -f -a '(__netloom_complete)'
`,
} as const;

export const completionCommand = buildCommand({
  docs: {
    brief: 'Print a completion script for bash, zsh or fish',
    fullDescription: `Prints a shell script that completes commands, options, networks and sandboxes.

Examples:
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

/** Prints the proposals, one per line. */
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
  // Does not read the records: a warning about a damaged one would not be seen.
  const context = { paths: pathsOf(process.env), warn: () => {} };
  const names = [...sandboxRecords(context).names(), ...lostSandboxes(context).map(({ name }) => name)];
  return names.filter((name) => name.startsWith(partial));
}

function shellOf(word: string): keyof typeof SCRIPTS {
  if (Object.hasOwn(SCRIPTS, word)) return word as keyof typeof SCRIPTS;
  throw new RangeError(`there is no script for ${JSON.stringify(word)}, expected ${Object.keys(SCRIPTS).join(', ')}`);
}
