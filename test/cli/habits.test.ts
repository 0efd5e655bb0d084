/** What people expect of every command: help with an example, the nearest match, statuses, no colours where none are wanted. */
import { execFileSync } from 'node:child_process';
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

test('help and version are words, too', (t) => {
  t.is(netloom.run('help'), netloom.run('--help'));
  t.is(netloom.run('help', 'network', 'create'), netloom.run('network', 'create', '--help'));
  t.is(netloom.run('version'), netloom.run('--version'));
});

test('a command in a sandbox has its own options, with and without "--" before it', (t) => {
  const echo = ['echo', '-n', '--name', '-p', '--', '--help'];
  const said = '--name -p -- --help';
  t.is(netloom.run('run', ...echo), said);
  t.is(netloom.run('run', '--', ...echo), said);
  t.is(netloom.run('run', '--network', 'none', '--add-host=a:192.0.2.1', '--dns-search', 'x.org', ...echo), said);
  netloom.run('sandbox', 'create', '--name', 'box');
  t.is(netloom.run('exec', 'box', ...echo), said);
  t.is(netloom.run('exec', 'box', '--', ...echo), said);
  netloom.run('sandbox', 'rm', 'box');
  t.regex(netloom.run('exec', '--help'), /USAGE/);
  t.regex(netloom.run('run', '--help'), /USAGE/);
  t.regex(netloom.try('run', '--nmae', 'box', ...echo).stderr, /No flag registered for --nmae, did you mean --name\?/);
});

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
