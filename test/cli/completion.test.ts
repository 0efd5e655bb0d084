/** Completion in real shells: bash, zsh and fish, each on a terminal with its own files, with a tab after each word. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost, makeRoot } from '../support/host.ts';
import { until } from '../support/until.ts';

becomeHost();

const { path, remove } = makeRoot();
const netloom = new Netloom(path);
test.after.always(() => {
  netloom.try('sandbox', 'rm', 'first');
  remove();
});
const bin = join(path, 'bin');
mkdirSync(bin);
symlinkSync(NETLOOM, join(bin, 'netloom'));
const environment = { ...netloom.environment, PATH: `${bin}:${process.env['PATH']}`, HOME: path };

const PROMPT = 'say> ';

/** Makes each shell's files as netloom's help says. @returns the command that starts the shell */
const shells: Readonly<Record<string, () => string>> = {
  bash: () => {
    const rc = join(path, 'bashrc');
    writeFileSync(rc, `PS1='${PROMPT}'\nsource <(netloom completion bash)\n`);
    return `bash --noprofile --rcfile ${rc} -i`;
  },
  zsh: () => {
    const functions = join(path, 'functions');
    mkdirSync(functions);
    writeFileSync(join(functions, '_netloom'), netloom.run('completion', 'zsh'));
    writeFileSync(
      join(path, '.zshrc'),
      `PS1='${PROMPT}'\nfpath=(${functions} $fpath)\nautoload -Uz compinit\ncompinit -u -D\n`,
    );
    return `env ZDOTDIR=${path} zsh -d -i`;
  },
  fish: () => {
    const completions = join(path, '.config/fish/completions');
    mkdirSync(completions, { recursive: true });
    writeFileSync(join(completions, 'netloom.fish'), netloom.run('completion', 'fish'));
    writeFileSync(join(path, '.config/fish/config.fish'), `function fish_prompt\n  printf '${PROMPT}'\nend\n`);
    return 'fish -i';
  },
};

/** Starts a shell on a terminal, and waits for its prompt. */
async function terminal(t: ExecutionContext, command: string) {
  const child = spawn('script', ['-q', '-c', command, '/dev/null'], {
    cwd: path,
    env: { ...environment, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  t.teardown(async () => {
    const ended = once(child, 'exit');
    child.stdin.end();
    child.kill('SIGKILL');
    await ended;
  });
  const shows = (pattern: RegExp) => until(`${pattern} is shown`, () => pattern.test(shown));
  await shows(new RegExp(PROMPT));
  return { type: (text: string) => void child.stdin.write(text), shows };
}

netloom.run('network', 'create', 'frontend');
netloom.run('sandbox', 'create', '--name', 'first');
writeFileSync(join(path, 'notes.json'), '{"network": "frontend", "nothing": true}');

for (const [shell, prepare] of Object.entries(shells)) {
  test.serial(`${shell} completes commands, options, networks, sandboxes and files`, async (t) => {
    const { type, shows } = await terminal(t, prepare());
    type('netloom netw\tinsp\tfr\t--js\t\r');
    await shows(/"conflist": \{/);
    type('netloom explain network:fr\t\r');
    await shows(/1\. on the host: /);
    type('netloom exec fir\t-- echo in the san""dbox\r');
    await shows(/in the sandbox\r\n/);
    type('netloom inspect di\tnot\tnot\t\r');
    await shows(/Cannot read the snapshot "notes\.json"/);
    t.pass();
  });
}

/** What bash offers for these words, the last of which is incomplete. */
function offered(...words: string[]): string[] {
  const script = `
    source <(netloom completion bash)
    COMP_LINE='netloom ${words.join(' ')}'; COMP_POINT=\${#COMP_LINE}
    _netloom
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { env: environment, encoding: 'utf8' }).trim().split('\n').sort();
}

test('words are offered as far as they go', (t) => {
  t.deepEqual(offered('network', ''), ['create', 'inspect', 'ls', 'rm', 'status']);
  t.deepEqual(offered('network', 'create', '--sub'), ['--subnet']);
  t.deepEqual(offered('connect', 'frontend', 'f'), ['first']);
  t.deepEqual(offered('explain', 'network:'), ['frontend']);
  t.deepEqual(offered('completion', ''), ['--', 'bash', 'fish', 'zsh']);
  t.deepEqual(offered('inspect', 'd'), ['diff']);
});
