/** What people expect of every command: help with an example, the nearest match, statuses, no colours where none are wanted, completion. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { commandPaths } from '../support/command-tree.ts';
import { becomeHost, makeRoot } from '../support/host.ts';

becomeHost();

const { path, remove } = makeRoot();
test.after.always(remove);
const netloom = new Netloom(path);

/** Every command that help leads to. */
function commands(prefix: readonly string[] = []): string[][] {
  const help = netloom.run(...prefix, '--help');
  const list = /COMMANDS\n([\s\S]*?)(\n\n|$)/.exec(help)?.[1];
  if (list === undefined) return [[...prefix]];
  const names = list.split('\n').map((line) => line.trim().split(/[ |]/)[0] ?? '');
  return names.filter((name) => name !== '').flatMap((name) => commands([...prefix, name]));
}

const all = commands();

test('help leads to every command', (t) => {
  t.deepEqual(all, commandPaths());
});

for (const words of all) {
  test(`help of "${words.join(' ')}" has an example of it`, (t) => {
    t.regex(netloom.run(...words, '--help'), new RegExp(`Examples?:\\s[\\s\\S]*netloom ${words.join(' ')}`));
  });
}

for (const words of all.filter((each) =>
  /(^| )(ls|ps|plugins|gc|restore|check|peers|overlay status)$/.test(each.join(' ')),
)) {
  test(`"${words.join(' ')}" lists as JSON`, (t) => {
    t.true(Array.isArray(netloom.json(...words)));
  });
}

const slips: readonly [args: readonly string[], message: RegExp][] = [
  [['conect'], /^netloom: No command registered for `conect`, did you mean `?connect`?/],
  [['network', 'craete', 'x'], /did you mean `?create`?/],
  [['network', 'create', '--subnett', '10.1.0.0/24', 'x'], /No flag registered for --subnett, did you mean --subnet\?/],
  [['network', 'create'], /Expected argument for NAME/],
  [['connect', 'web'], /Expected argument for TARGET/],
  [['completion', 'tcsh'], /there is no script for "tcsh", expected bash, zsh, fish/],
];
for (const [args, message] of slips) {
  test(`"netloom ${args.join(' ')}" leaves with 2 and what was meant`, (t) => {
    const { status, stdout, stderr } = netloom.try(...args);
    t.is(status, 2);
    t.is(stdout, '');
    t.regex(stderr, message);
  });
}

test('without a command it prints its help', (t) => {
  const { status, stdout } = netloom.try();
  t.is(status, 0);
  t.regex(stdout, /COMMANDS/);
});

/** What a command prints on a terminal. */
function onTerminal(environment: Record<string, string>): string {
  const env = { ...netloom.environment, TERM: 'xterm-256color', ...environment };
  return execFileSync('script', ['-q', '-e', '-c', `${NETLOOM} --help`, '/dev/null'], { env, encoding: 'utf8' });
}

test('colours are for terminals, and NO_COLOR is heeded', (t) => {
  const start = '\u001b[';
  t.true(onTerminal({}).includes(start));
  t.false(onTerminal({ NO_COLOR: '1' }).includes(start));
  t.false(netloom.run('--help').includes(start));
});

/** What bash would offer for words of which the last is being typed. */
function offered(...words: string[]): string[] {
  const bin = join(path, 'bin');
  mkdirSync(bin, { recursive: true });
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `
    netloom() { '${NETLOOM}' "$@"; }
    source <(netloom completion bash)
    COMP_WORDS=(netloom ${quoted}); COMP_CWORD=${words.length}
    _netloom
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { env: netloom.environment, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim().split('\n').sort();
}

test('bash completes commands, options, networks and sandboxes', (t) => {
  t.deepEqual(offered('netw'), ['network']);
  t.deepEqual(offered('network', 'in'), ['inspect']);
  t.deepEqual(offered('network', 'create', '--sub'), ['--subnet']);
  netloom.run('network', 'create', 'frontend');
  netloom.run('sandbox', 'create', '--name', 'first');
  t.deepEqual(offered('network', 'rm', 'fr'), ['frontend']);
  t.deepEqual(offered('connect', 'fr'), ['frontend']);
  t.deepEqual(offered('connect', 'frontend', 'f'), ['first']);
  t.deepEqual(offered('exec', 'f'), ['first']);
  t.deepEqual(offered('completion', 'z'), ['zsh']);
  netloom.run('sandbox', 'rm', 'first');
});

test('zsh and fish complete the same', (t) => {
  const environment = { ...netloom.environment, HOME: path };
  const run = (shell: string, ...args: string[]) =>
    execFileSync(shell, args, { env: environment, encoding: 'utf8' }).trim().split('\n').sort();
  netloom.run('network', 'create', 'zone');
  // zsh's own completion needs a terminal: here its words are set by hand, and what would be offered is printed.
  const zsh = (words: string) => `
    netloom() { '${NETLOOM}' "$@" }
    compdef() { }
    compadd() { print -l -- $found }
    source <(netloom completion zsh)
    words=(netloom ${words}); CURRENT=\${#words}
    _netloom`;
  const fish = (words: string) => `
    function netloom; '${NETLOOM}' $argv; end
    netloom completion fish | source
    complete -C 'netloom ${words}'`;
  for (const [words, expected] of [
    ['netw', 'network'],
    ['network rm zo', 'zone'],
    ['network create --sub', '--subnet'],
  ] as const) {
    t.deepEqual(run('zsh', '-f', '-c', zsh(words)), [expected], words);
    t.deepEqual(run('fish', '--no-config', '-c', fish(words)), [expected], words);
  }
});
