/**
 * Tries what README says: the session prints what is shown there, and the commands of "Install" and "Try it" exist and
 * work.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { becomeHost, makeRoot } from '../support/host.ts';

becomeHost();
// `ip netns` keeps its names in /run/netns.
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

interface Step {
  /** Including the lines of its here-document. */
  readonly command: string;
  readonly output: string;
}

test.serial('a session: each command prints what README shows, names and MACs aside', (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  t.teardown(() => execFileSync('ip', ['netns', 'del', 'web']));
  symlinkSync(join(root, 'dist'), join(path, 'dist'));
  const steps = stepsOf(block('A session', 'console'));
  t.true(steps.length >= 8);
  const outputs = run(steps, path);
  for (const [i, { command, output }] of steps.entries()) {
    const actual = outputs[i] ?? '';
    if (output.startsWith('{'))
      t.like(normalized(JSON.parse(actual)), normalized(JSON.parse(output)) as object, command);
    else if (output === '') t.is(actual, '', command);
    else t.deepEqual(missing(linesOf(output), linesOf(actual)), [], `${command}\n${actual}`);
  }
});

test.serial('the error that README shows is what the plugin says', (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  const conf = { cniVersion: '1.1.0', name: 'lab', type: 'bridge', mtu: '1500' };
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'web',
    CNI_NETNS: '/proc/self/ns/net',
    CNI_IFNAME: 'eth0',
    CNI_PATH: path,
  };
  const { stdout } = spawnSync(join(root, 'dist/bin/bridge'), {
    env: { ...env, NETLOOM_ROOT: path },
    input: JSON.stringify(conf),
    encoding: 'utf8',
  });
  t.deepEqual(JSON.parse(stdout), JSON.parse(block('A session', 'json')));
});

test.serial('see every wire: from nothing to two connected containers, and their wires', (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  const uplink = [
    'ip link add eth0 type veth peer name other-end',
    'ip link set other-end up',
    'ip link set eth0 up',
    'ip addr add 192.168.7.2/24 dev eth0',
    'ip route add default via 192.168.7.1',
  ];
  execFileSync('sh', ['-ec', uplink.join('\n')]);
  t.teardown(() => execFileSync('ip', ['link', 'del', 'eth0']));
  const steps = stepsOf(block('See every wire', 'console'));
  t.true(steps.length >= 7);
  const command = { command: `netloom() { '${join(root, 'dist/netloom')}' "$@"; }`, output: '' };
  const [, ...outputs] = run([command, ...steps], path);
  for (const [i, { command, output }] of steps.entries()) {
    // The link is a veth here and hardware there.
    const actual = (outputs[i] ?? '').replace('eth0 veth 192.', 'eth0 192.').replace(/\n\nnot seen: .*/s, '');
    t.is(actual.replaceAll(`${path}/etc`, '/etc'), output, command);
  }
  t.regex(readFileSync(join(path, 'wiring.html'), 'utf8'), /data-namespace="db"/);
});

test.serial('install and uninstall, with the directories of README replaced', (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  const [build = '', install = ''] = block('Install', 'sh').split('\n');
  for (const [, script = ''] of build.matchAll(/npm run (\S+)/g)) t.true(script in scripts(), script);
  const [bin, conf] = [join(path, 'bin'), join(path, 'net.d')];
  const within = install.replace('sudo ', '').replace('/opt/cni/bin', bin).replace('/etc/cni/net.d', conf);
  t.true(within.includes(bin) && within.includes(conf), install);
  mkdirSync(bin);
  writeFileSync(join(bin, 'bridge'), 'the one before');
  const shell = (command: string) => execFileSync('bash', ['--norc', '-ec', command], { cwd: root, encoding: 'utf8' });

  shell(within);
  const types = readdirSync(join(root, 'dist/bin'));
  for (const type of types) t.regex(readlinkSync(join(bin, type)), /^netloom(-shim)?$/); // the shim, if the build made one
  t.regex(shell(`CNI_COMMAND=VERSION ${bin}/bridge`), /"supportedVersions"/);
  const offered = readdirSync(join(root, 'cni-conf')).filter((file) => file.endsWith('.conflist'));
  const installed = readdirSync(conf);
  t.true(installed.length > 0);
  for (const file of installed) t.true(offered.includes(file), file);

  shell(within.replace(' install ', ' uninstall '));
  t.deepEqual(readdirSync(bin), ['bridge']);
  t.is(readFileSync(join(bin, 'bridge'), 'utf8'), 'the one before');
});

test('every npm script that README speaks of is there', (t) => {
  const named = [...readme.matchAll(/npm run (\w+)/g)].map(([, name = '']) => name);
  t.true(named.length > 3);
  for (const name of named) t.true(name in scripts(), name);
});

test('every file that README links to is there', (t) => {
  const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = '']) => path);
  t.true(links.length > 3);
  for (const path of links) t.notThrows(() => readdirOrFile(join(root, path)), path);
});

test('the figures of README are those that `npm run bench` wrote', (t) => {
  const measured = cellsOf(readFileSync(join(root, 'docs/benchmarks.md'), 'utf8'));
  const quoted = cellsOf(section('Speed')).flatMap(([, ...figures]) => [figures.slice(0, 3), figures.slice(3)]);
  const figures = quoted.filter((row) => row.some((cell) => /\d/.test(cell)));
  t.true(figures.length > 10);
  for (const row of figures)
    t.true(
      measured.some((cells) => missing(row, cells).length === 0),
      row.join(' | '),
    );
  const paths = [...section('Modes').matchAll(/([\d.]+) µs(?:,| and) ([\d.]+) Gbit/g)].map(([, ...path]) => path);
  t.true(paths.length >= 4);
  for (const path of paths)
    t.true(
      measured.some((cells) => missing(path, cells).length === 0),
      path.join(' | '),
    );
});

/** The first code block of a language in a section. */
function block(name: string, language: string): string {
  const text = section(name);
  const start = text.indexOf(`\n\`\`\`${language}\n`) + language.length + 5;
  if (start < language.length + 5) throw new Error(`README has no ${language} block in "${name}"`);
  return text.slice(start, text.indexOf('\n```', start));
}

/** The section's text, up to the next one. */
function section(name: string): string {
  const from = readme.indexOf(`\n## ${name}\n`);
  if (from < 0) throw new Error(`README has no section "${name}"`);
  const end = readme.indexOf('\n## ', from + 1);
  return readme.slice(from, end < 0 ? readme.length : end);
}

/** The cells of each row of a text's tables. Figures have at most two digits after the point. */
function cellsOf(text: string): string[][] {
  const rows = text.split('\n').filter((line) => line.startsWith('|'));
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^(\d+\.\d\d)\d$/, (figure) => Number(figure).toFixed(2))),
  );
}

/** A line that begins with `# ` is a command; after `<<EOF` it continues up to the line `EOF`. */
function stepsOf(text: string): Step[] {
  const steps: { command: string; output: string }[] = [];
  let inDocument = false;
  for (const line of text.split('\n')) {
    const last = steps.at(-1);
    if (inDocument && last !== undefined) last.command += `\n${line}`;
    else if (line.startsWith('# ')) steps.push({ command: line.slice(2), output: '' });
    else if (last !== undefined) last.output += `${last.output === '' ? '' : '\n'}${line}`;
    if (line.includes('<<EOF')) inDocument = true;
    if (line === 'EOF') inDocument = false;
  }
  return steps;
}

/** Runs the commands in one shell, which stops at the first failure. @returns what each of them printed */
function run(steps: readonly Step[], cwd: string): string[] {
  const mark = '--- the next command ---';
  const script = steps.map(({ command }) => `${command}\necho '${mark}'`).join('\n');
  const env = { PATH: process.env['PATH'], NETLOOM_ROOT: cwd };
  const printed = execFileSync('bash', ['--norc', '-ec', script], { cwd, env, encoding: 'utf8' });
  return printed.split(`${mark}\n`).map((text) => text.trimEnd());
}

/** Replaces every MAC by the same word. */
function normalized(json: unknown): unknown {
  return JSON.parse(JSON.stringify(json).replace(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC'));
}

/** Without indentation, and without the `…` that marks omitted lines. */
function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== '…');
}

/** The wanted lines that do not occur among the others, in this order. */
function missing(wanted: readonly string[], lines: readonly string[]): string[] {
  let at = 0;
  return wanted.filter((line) => {
    const found = lines.indexOf(line, at);
    if (found >= 0) at = found + 1;
    return found < 0;
  });
}

function scripts(): object {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts;
}

function readdirOrFile(path: string): void {
  if (path.endsWith('/')) readdirSync(path);
  else readFileSync(path);
}
