import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { toCniError } from '../../src/cni/error.ts';
import { execAdd, execPlugin, findPlugin, isSelf } from '../../src/cni/exec.ts';
import { NetloomError } from '../../src/error.ts';

const ENVIRONMENT = { PATH: process.env['PATH'], CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0' };

const directory = mkdtempSync(join(tmpdir(), 'netloom-'));
test.after.always(() => rmSync(directory, { recursive: true }));

/** A plugin that is a shell script. */
function plugin(name: string, script: string): string {
  const file = join(directory, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

function caller() {
  const warnings: string[] = [];
  return { environment: ENVIRONMENT, warnings, warn: (message: string) => void warnings.push(message) };
}

function failure(run: () => unknown): NetloomError {
  try {
    run();
  } catch (error) {
    if (error instanceof NetloomError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

test('the first directory of the path that has the plugin wins', (t) => {
  const [a, b] = [join(directory, 'a'), join(directory, 'b')];
  for (const one of [a, b]) {
    mkdirSync(one);
    writeFileSync(join(one, 'both'), '');
  }
  writeFileSync(join(b, 'second'), '');
  mkdirSync(join(a, 'second'));
  t.is(findPlugin('both', ['/nowhere', `${a}/`, b]), join(a, 'both'));
  t.is(findPlugin('second', [a, b]), join(b, 'second'));
});

test('a plugin that is nowhere is named with the path', (t) => {
  const error = failure(() => findPlugin('nope', ['/a', '/b']));
  t.is(error.code, 'plugin-not-found');
  t.is(error.message, 'failed to find plugin "nope" in path [/a /b]');
});

for (const type of ['', '../x', '/bin/sh', 'a/b', 'a\0b']) {
  test(`a type must be the name of a file: ${JSON.stringify(type)}`, (t) => {
    t.is(failure(() => findPlugin(type, ['/bin'])).code, 'invalid-config');
  });
}

test('our own executable is known by any name', (t) => {
  const symbolic = join(directory, 'symbolic');
  symlinkSync(process.execPath, symbolic);
  t.true(isSelf(symbolic));
  t.true(isSelf('/proc/self/exe'));
  t.false(isSelf('/bin/sh'));
  t.false(isSelf('/nowhere'));
  const original = plugin('original', 'true');
  linkSync(original, join(directory, 'other'));
  t.false(isSelf(original));
});

test('a plugin gets the environment with another command, and the configuration', (t) => {
  const file = plugin('echo', 'echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME"; cat');
  t.is(execPlugin(file, 'CHECK', caller(), '{"name": "net"}'), 'CHECK c1 eth0\n{"name": "net"}');
});

test("a plugin's result is read in its own version", (t) => {
  const file = plugin('ipam', `echo '{"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24", "gateway": "10.0.0.1"}}'`);
  const result = execAdd(file, caller(), '{}', '1.0.0');
  t.is(result.ips?.[0]?.address.toString(), '10.0.0.2/24');
  t.is(result.ips?.[0]?.gateway?.toString(), '10.0.0.1');
});

test("a plugin's error object is passed on whole", (t) => {
  const object = { cniVersion: '1.0.0', code: 117, msg: 'no more', details: 'a\nb' };
  const file = plugin('refuses', `printf %s '${JSON.stringify(object)}'; echo noise >&2; exit 1`);
  const error = failure(() => execAdd(file, caller(), '{}', '1.0.0'));
  t.deepEqual(toCniError(error, '1.0.0'), object);
});

test('a plugin that dies with junk is quoted with its last words', (t) => {
  const file = plugin('junk', 'echo "not JSON"; echo first >&2; echo "panic: oops" >&2; exit 2');
  const error = failure(() => execPlugin(file, 'ADD', caller(), '{}'));
  t.is(error.code, 'plugin-failed');
  t.is(error.message, `Cannot run "${file}" for ADD: it left with status 2, after saying "panic: oops"`);
  t.is(error.details, 'its stdout begins with "not JSON\\n"');
});

test('a plugin that a signal kills says which', (t) => {
  const file = plugin('killed', 'kill -9 $$');
  t.is(
    failure(() => execPlugin(file, 'DEL', caller(), '{}')).message,
    `Cannot run "${file}" for DEL: signal 9 killed it`,
  );
});

test('a plugin that succeeds without a result is not believed', (t) => {
  const error = failure(() => execAdd(plugin('silent', 'true'), caller(), '{}', '1.0.0'));
  t.is(error.code, 'invalid-result');
});

test('a damaged result names the plugin, the place and the value', (t) => {
  const file = plugin('damaged', `echo '{"ips": [{"address": "10.0.0.2"}]}'`);
  t.is(
    failure(() => execAdd(file, caller(), '{}', '1.0.0')).message,
    `Cannot read the result of "${file}": "ips[0].address" is "10.0.0.2", expected an address with a prefix such as "10.1.0.0/24"`,
  );
});

test('what a plugin that succeeds says on stderr is passed on', (t) => {
  const one = caller();
  const file = plugin('talks', 'echo careful >&2');
  execPlugin(file, 'DEL', one, '{}');
  t.deepEqual(one.warnings, [`${file}: careful`]);
});

test('a file that is not executable is refused by its name', (t) => {
  const file = join(directory, 'plain');
  writeFileSync(file, 'x', { mode: 0o644 });
  const error = failure(() => execPlugin(file, 'ADD', caller(), '{}'));
  t.is(error.message, `Cannot run "${file}": EACCES, permission denied`);
});

test('a plugin that never reads and prints megabytes does not hang', (t) => {
  const file = plugin('loud', 'head -c 4000000 /dev/zero; head -c 4000000 /dev/zero >&2; exit 0');
  t.is(execPlugin(file, 'ADD', caller(), 'x'.repeat(4_000_000)).length, 4_000_000);
});

test('a plugin whose output has no end is stopped', (t) => {
  const file = plugin('endless', 'exec cat /dev/zero');
  t.is(failure(() => execPlugin(file, 'ADD', caller(), '')).code, 'too-long');
});

const REFERENCE = '/usr/lib/cni/static';

for (const version of ['0.2.0', '0.4.0', '1.0.0']) {
  (existsSync(REFERENCE) ? test : test.skip)(`the reference's static IPAM is understood in version ${version}`, (t) => {
    const one = caller();
    const environment = { ...one.environment, CNI_PATH: '/usr/lib/cni', CNI_NETNS: '/nowhere' };
    const conf = {
      cniVersion: version,
      name: 'net',
      type: 'bridge',
      ipam: {
        type: 'static',
        addresses: [{ address: '10.10.0.1/24', gateway: '10.10.0.254' }, { address: 'fd00::1/64' }],
        routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd01::/64', gw: 'fd00::fe' }],
        dns: { nameservers: ['10.10.0.253'] },
      },
    };
    const result = execAdd(REFERENCE, { ...one, environment }, JSON.stringify(conf), version);
    t.deepEqual(JSON.parse(JSON.stringify(result)), {
      ips: [{ address: '10.10.0.1/24', gateway: '10.10.0.254' }, { address: 'fd00::1/64' }],
      routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd01::/64', gw: 'fd00::fe' }],
      dns: { nameservers: ['10.10.0.253'] },
    });
    const error = failure(() => execAdd(REFERENCE, { ...one, environment }, '{"name": "x"', version));
    t.is(toCniError(error, version).code, 6);
  });
}
