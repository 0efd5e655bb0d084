/**
 * What people expect of every command: help with an example, the nearest match, exit statuses, and no colours where
 * they are not wanted.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
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

test('help fits a terminal of 80 columns, but for usage, flags and examples', (t) => {
  for (const words of all) {
    const [, about = ''] = /\n\n([\s\S]*?)(\n\nExamples?:|Drivers)/.exec(netloom.run(...words, '--help')) ?? [];
    const tooLong = about.split('\n').filter((line) => line.length > 80);
    t.deepEqual(tooLong, [], words.join(' '));
  }
});

for (const words of all.filter((each) =>
  /(^| )(ls|ps|plugins|gc|restore|check|peers|overlay status)$/.test(each.join(' ')),
)) {
  test(`"${words.join(' ')}" lists as JSON`, (t) => {
    t.true(Array.isArray(netloom.json(...words)));
  });
}

const slips: readonly [args: readonly string[], message: RegExp][] = [
  [['conect'], /^netloom: There is no command "conect", did you mean "connect"/],
  [['network', 'craete', 'x'], /did you mean "create"/],
  [['network', 'create', '--subnett', '10.1.0.0/24', 'x'], /There is no option --subnett, did you mean --subnet\?/],
  [['agent', '--no-foreground'], /There is no option --no-foreground/],
  [['network', 'create'], /NAME is missing/],
  [['connect', 'web'], /^netloom: TARGET is missing\n/],
  [['completion', 'tcsh'], /Invalid SHELL: there is no script for "tcsh", expected bash, zsh, fish/],
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
  t.is(netloom.run('exec', '-it', 'box', ...echo), said, 'as with docker');
  t.is(netloom.run('run', '--rm', '-i', '-t', '--network', 'none', ...echo), said);
  netloom.run('sandbox', 'rm', 'box');
  t.regex(netloom.run('exec', '--help'), /USAGE/);
  t.regex(netloom.run('run', '--help'), /USAGE/);
  t.regex(netloom.try('run', '--nmae', 'box', ...echo).stderr, /There is no option --nmae, did you mean --name\?/);
});

/** What a shell shows of a command's stderr, and its status. */
function inShell(command: string): { readonly status: number | null; readonly stderr: string } {
  const env = { ...netloom.environment, NETLOOM };
  const { status, stderr } = spawnSync('bash', ['--norc', '-c', command], { env, encoding: 'utf8' });
  return { status, stderr };
}

test('who stops reading ends it without a word, and a full disk with a sentence', (t) => {
  for (const command of ['--help', 'inspect', 'inspect --json', 'network create --help', 'inspect --watch']) {
    const end = inShell(`exec 3> >(exec true); wait $!; "$NETLOOM" ${command} >&3`);
    t.deepEqual(end, { status: 141, stderr: '' }, command);
  }
  for (const command of ['--help', 'inspect --json']) {
    const { status, stderr } = inShell(`"$NETLOOM" ${command} > /dev/full`);
    t.is(status, 1);
    t.regex(stderr, /^netloom: Cannot write the answer: [^\n]*no space left on device[^\n]*\n$/i);
  }
});

test('who is not root is told so, and may look', (t) => {
  const root = join(path, 'of-root');
  const own = new Netloom(root);
  own.run('network', 'create', 'web');
  own.run('sandbox', 'create', '--name', 'box', '--network', 'web');
  t.teardown(() => own.run('sandbox', 'rm', '--force', 'box'));
  chmodSync(path, 0o755);
  // The working tree may be in a directory that other users cannot enter.
  const executable = join(path, 'netloom');
  writeFileSync(executable, '');
  execFileSync('mount', ['--bind', NETLOOM, executable]);
  t.teardown(() => execFileSync('umount', [executable]));
  const anybody = (...args: string[]) => {
    const words = ['--reuid=65534', '--regid=65534', '--clear-groups', executable, ...args];
    return spawnSync('setpriv', words, { env: own.environment, encoding: 'utf8' });
  };
  for (const command of ['sandbox ls', 'exec box true', 'connect web box', 'network rm web', 'gc']) {
    const { status, stderr } = anybody(...command.split(' '));
    t.not(status, 0);
    t.regex(stderr, /^netloom: Cannot .*EACCES, permission denied\n {2}this needs root: run it with sudo\n$/, command);
  }
  const { status, stdout, stderr } = anybody('inspect', 'br-web');
  t.is(status, 0, stderr);
  t.regex(stdout, /^[└├]─ br-web bridge 10\.90\.0\.1\/24 mtu 1500/m);
  t.regex(stdout, /^not seen: Cannot open ".*sandboxes": EACCES/m);
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
