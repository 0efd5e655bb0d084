/**
 * The Vagrantfile, judged by Vagrant, and the network that it gives to its machines. It starts none of them, so it
 * needs no provider.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { NETLOOM } from './support/command.ts';
import { becomeHost } from './support/host.ts';
import { Lab } from './support/lab.ts';

becomeHost();

const TREE = fileURLToPath(new URL('..', import.meta.url));

test.serial('vagrant validates the Vagrantfile, and knows two nodes of it', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const said = execFileSync('vagrant', ['validate', '--ignore-provider'], {
    cwd: TREE,
    encoding: 'utf8',
    env: { ...process.env, VAGRANT_HOME: join(home, 'home'), VAGRANT_DOTFILE_PATH: join(home, 'machines') },
  });
  t.regex(said, /node1: /);
  t.regex(said, /node2: /);
  t.regex(said, /validated successfully/);
});

/** Stands in for Vagrant, and prints the script of the requested provisioner. */
const STUB = `
  class Config
    def method_missing(name, *args, **options)
      puts options[:inline] if name == :provision && args.first == ARGV.last
      yield self if block_given?
      self
    end
  end
  module Vagrant
    def self.configure(version) = yield(Config.new)
  end
  load ARGV.first`;

/** The script of one of its provisioners. */
function provisioner(name: string): string {
  return execFileSync('ruby', ['-e', STUB, join(TREE, 'Vagrantfile'), name], { encoding: 'utf8' });
}

test.serial('its machines get what the tests need by the script that everybody has it from', (t) => {
  t.is(provisioner('packages'), '/netloom/scripts/setup-test\n'); // /netloom is a copy of the tree
});

test.serial('the network of its machines connects two machines with their addresses', (t) => {
  const script = provisioner('overlay');
  const [, conflist = ''] = /<<'CONFLIST'\n(.*)\nCONFLIST\n/s.exec(script) ?? [];
  const lab = new Lab(t);
  const machines = ['node1', 'node2'].map((name) => {
    const root = join(lab.root, name);
    mkdirSync(join(root, 'etc/cni/net.d'), { recursive: true });
    writeFileSync(join(root, 'etc/cni/net.d/lab.conflist'), conflist);
    return { sandbox: lab.sandbox(name), root };
  });
  const [one, two] = machines;
  if (one === undefined || two === undefined) throw new Error('there are two');
  execFileSync('bash', [
    '-ec',
    `ip link add eth0 netns ${one.sandbox.path} type veth peer name eth0 netns ${two.sandbox.path}`,
  ]);
  const netloom = (number: 0 | 1, ...args: string[]) => {
    const { sandbox, root } = number === 0 ? one : two;
    return sandbox.run('env', `NETLOOM_ROOT=${root}`, NETLOOM, ...args);
  };
  for (const [i, { sandbox }] of machines.entries()) {
    sandbox.run('bash', '-ec', `ip link set lo up; ip link set eth0 up; ip addr add 192.168.56.1${i + 1}/24 dev eth0`);
  }
  t.regex(netloom(0, 'sandbox', 'create', '--name', 'web', '--network', 'lab'), /10\.96\.1\.2\/24/);
  t.regex(netloom(1, 'run', '--network', 'lab', '--', 'ping', '-c', '1', '-W', '10', '10.96.1.2'), /1 received/);
  netloom(0, 'sandbox', 'rm', 'web');
});
